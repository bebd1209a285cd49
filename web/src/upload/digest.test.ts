import { createHash } from "node:crypto";

import { expect, test } from "vitest";

import { AT_ONCE, digest } from "./digest";

const JPEG = ["image/jpeg"];

test.each([4, 1000, AT_ONCE, AT_ONCE + 12_345])("the hash of %i bytes", { timeout: 30_000 }, async (size) => {
  const bytes = new Uint8Array(size).map((_, index) => index * 7);
  bytes.set([0xff, 0xd8, 0xff]);
  const { format, sha256 } = await digest(new Blob([bytes]), JPEG);
  expect(format?.name).toBe("JPEG");
  expect(sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
});

test("a file of another format is not hashed", async () => {
  const { format, sha256 } = await digest(new Blob(["GIF89a..."]), JPEG);
  expect([format?.name, sha256]).toEqual(["GIF", undefined]);
});

test("a large file is held in pieces alone", { timeout: 30_000 }, async () => {
  const blob = new Blob([new Uint8Array([0xff, 0xd8, 0xff]), new Uint8Array(AT_ONCE)]);
  let largest = 0;
  const stream = blob.stream.bind(blob);
  blob.stream = () => {
    const opened = stream();
    const reader = opened.getReader({ mode: "byob" });
    const read = reader.read.bind(reader);
    reader.read = (<T extends ArrayBufferView>(view: T) => {
      largest = Math.max(largest, view.buffer.byteLength);
      return read(view);
    }) as typeof read;
    opened.getReader = (() => reader) as unknown as typeof opened.getReader;
    return opened;
  };
  await digest(blob, JPEG);
  expect(largest).toBeGreaterThan(0);
  expect(largest).toBeLessThanOrEqual(AT_ONCE);
});

test("where a stream cannot read into a buffer, a file is read in slices", { timeout: 30_000 }, async () => {
  const bytes = new Uint8Array(AT_ONCE + 1);
  bytes.set([0xff, 0xd8, 0xff]);
  const blob = new Blob([bytes]);
  let largest = 0;
  const slice = blob.slice.bind(blob);
  blob.slice = (start, end) => {
    const piece = slice(start, end);
    largest = Math.max(largest, piece.size);
    return piece;
  };
  blob.stream = () => {
    throw new TypeError("No byte stream.");
  };
  const { sha256 } = await digest(blob, JPEG);
  expect(sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
  expect(largest).toBeLessThanOrEqual(4 * 1024 * 1024);
});
