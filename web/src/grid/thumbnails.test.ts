import { expect, test } from "vitest";
import { averageColour, decodePlaceholder, pickThumbnail } from "./thumbnails";

const thumbnails = [200, 800, 400].map((height) => ({ height, url: `/${height}` }));

test.each([
  [120, 200],
  [200, 200],
  [201, 400],
  [4000, 800],
])("a tile of %d pixels shows the thumbnail of %d", (height, expected) => {
  expect(pickThumbnail(thumbnails, height)?.height).toBe(expected);
});

test("16: an image without thumbnails has none to show", () => {
  expect(pickThumbnail([], 200)).toBeUndefined();
});

test("a placeholder becomes pixels", () => {
  const placeholder = decodePlaceholder("3OcRJYB4d3h/iIeHeEh3eIhw+j3A");
  expect(placeholder?.pixels.length).toBe((placeholder?.width ?? 0) * (placeholder?.height ?? 0) * 4);
});

test("a placeholder has an average colour", () => {
  expect(averageColour("3OcRJYB4d3h/iIeHeEh3eIhw+j3A")).toMatch(/^rgb\(\d+ \d+ \d+\)$/);
});

test.each(["", "!", "AA==", "AAAA", "/////w==", "a".repeat(4000)])(
  "16: the malformed placeholder %j gives no pixels",
  (text) => {
    const placeholder = decodePlaceholder(text);
    expect(averageColour(text) ?? "rgb(0 0 0)").toMatch(/^rgb\(\d+ \d+ \d+\)$/);
    if (placeholder) expect(placeholder.pixels.every((value) => value >= 0 && value <= 255)).toBe(true);
  },
);
