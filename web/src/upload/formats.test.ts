import { expect, test } from "vitest";

import signatures from "../../../tests/signatures.json";
import { formatOfName, sniff } from "./formats";

// `crates/model/src/content_type.rs` is tested with the same file, in which each character is a byte.
test.each(signatures.map(({ name, start }) => [name || "nothing", start]))("%s is recognised: %j", (name, start) => {
  const format = sniff(Uint8Array.from(start, (letter) => letter.charCodeAt(0)));
  expect(format?.name.toLowerCase() ?? "nothing").toBe(name.toLowerCase());
});

test("SVG is recognised", () => {
  const text = '<?xml version="1.0"?><svg xmlns="';
  expect(sniff(new TextEncoder().encode(text))?.name).toBe("SVG");
});

test.each([
  ["IMG_0001.HEIC", "HEIC"],
  ["a.b.jpeg", "JPEG"],
  ["clip.MOV", "Video"],
  ["photo.NEF", "RAW"],
])("%s is named as %s", (path, name) => expect(formatOfName(path)?.name).toBe(name));

test("an unknown extension, or none, says nothing", () => {
  expect(formatOfName("photo")).toBeNull();
  expect(formatOfName("photo.xyz")).toBeNull();
});
