import { expect, test } from "vitest";
import { describeChange, parseHeights } from "./effects";

const plan = {
  thumbnail_heights: [200, 400],
  webp_thumbnails: true,
  original_link: true,
  expiring_links: false,
  max_image_bytes: 1_000_000,
  max_images: 10,
};

test("an unchanged plan changes nothing", () => {
  expect(describeChange(plan, { ...plan })).toEqual([]);
  expect(describeChange(null, null)).toEqual([]);
});

test("each right that comes or goes is told", () => {
  const next = {
    ...plan,
    thumbnail_heights: [400, 800],
    webp_thumbnails: false,
    original_link: false,
    expiring_links: true,
  };
  const text = describeChange(plan, next).join("\n");
  expect(text).toContain("Thumbnails of 800 px are built");
  expect(text).toContain("Thumbnails of 200 px are deleted");
  expect(text).toContain("WebP thumbnails are deleted");
  expect(text).toContain("originals stop");
  expect(text).toContain("Expiring links can be created");
  expect(describeChange(next, plan).join("\n")).toContain("thumbnails are WebP");
  expect(describeChange(next, plan).join("\n")).toContain("Expiring links stop");
});

test("limits are told as more or less", () => {
  expect(describeChange(plan, { ...plan, max_images: 9 }).join()).toContain("From 9 images on");
  expect(describeChange(plan, { ...plan, max_image_bytes: 2_000_000 }).join()).toContain("Files of up to 2 MB");
});

test("no plan takes all thumbnails and the rights to create", () => {
  const text = describeChange(plan, null).join("\n");
  expect(text).toContain("All thumbnails are deleted");
  expect(text).toContain("can no longer upload");
});

test("heights are read in any order", () => {
  expect(parseHeights("400, 200;400 800")).toEqual([200, 400, 800]);
  expect(parseHeights("")).toEqual([]);
  for (const wrong of ["a", "1.5", "-3", "200 px"]) expect(parseHeights(wrong)).toBeNull();
});
