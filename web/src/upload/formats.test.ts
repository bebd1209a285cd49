import { describe, expect, test } from "vitest";

import { formatOfName, sniff } from "./formats";

const bytes = (...parts: (string | number[])[]): Uint8Array =>
  new Uint8Array(parts.flatMap((part) => (typeof part === "string" ? [...part].map((c) => c.charCodeAt(0)) : part)));

describe("the first bytes show the format", () => {
  test.each<[string, Uint8Array]>([
    ["JPEG", bytes([0xff, 0xd8, 0xff, 0xe1])],
    ["PNG", bytes([0x89], "PNG\r\n\x1a\n")],
    ["GIF", bytes("GIF89a")],
    ["WebP", bytes("RIFF\0\0\0\0WEBPVP8 ")],
    ["HEIC", bytes([0, 0, 0, 24], "ftypheic\0\0\0\0mif1heic")],
    ["HEIC", bytes([0, 0, 0, 24], "ftypmif1\0\0\0\0mif1heic")],
    ["AVIF", bytes([0, 0, 0, 24], "ftypavif\0\0\0\0avifmif1")],
    ["AVIF", bytes([0, 0, 0, 24], "ftypmif1\0\0\0\0mif1avif")],
    ["JPEG XL", bytes([0xff, 0x0a])],
    ["TIFF", bytes("II*\0")],
    ["Video", bytes([0, 0, 0, 24], "ftypqt  ")],
    ["SVG", bytes('<?xml version="1.0"?><svg xmlns="')],
    ["PDF", bytes("%PDF-1.7")],
  ])("%s", (name, head) => expect(sniff(head)?.name).toBe(name));

  test.each([bytes(), bytes("hello"), bytes("RIFF"), bytes([0xff, 0xd8])])("or that there is none: %s", (head) =>
    expect(sniff(head)).toBeNull(),
  );
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
