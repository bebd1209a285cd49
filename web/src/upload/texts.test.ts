import { expect, test } from "vitest";

import type { QueuedFile } from "./queue";
import { countsText, headingText, stateText, type Tally } from "./texts";

const none: Tally = { ready: 0, failed: 0, present: 0, skipped: 0, cancelled: 0, processing: 0, active: 0 };
const item = (rest: Partial<QueuedFile>): QueuedFile =>
  ({ key: 1, path: "a", title: "a", visibility: "public", sent: 0, file: new File(["x"], "a"), ...rest }) as QueuedFile;

test("nothing says complete while a file failed, is in progress or is being read", () => {
  const complete = headingText({ ...none, ready: 3 }, 3, false);
  expect(complete).toMatch(/complete/i);
  for (const [tally, reading] of [
    [{ ...none, ready: 2, failed: 1 }, false],
    [{ ...none, ready: 2, active: 1 }, false],
    [{ ...none, ready: 2, processing: 1 }, false],
    [{ ...none, failed: 3 }, false],
    [{ ...none, ready: 3 }, true],
    // Nothing is known yet.
    [none, false],
  ] as const) {
    expect(headingText(tally, 3, reading)).not.toMatch(/complete/i);
  }
});

test("the counts name each outcome", () => {
  expect(countsText({ ...none, ready: 1200, failed: 2, present: 3, skipped: 4 })).toBe(
    "1,200 done · 2 failed · 3 already there · 4 other files skipped",
  );
});

test("a refusal is told in words", () => {
  const text = (failure: QueuedFile["failure"]) => stateText(item({ state: "failed", failure }));
  expect(text({ code: "foreign_format", format: "HEIC" })).toMatch(/HEIC.*JPEG/);
  expect(text({ code: "foreign_format", format: "TIFF" })).toMatch(/^TIFF/);
  expect(text({ code: "too_large", limit: 52_428_800 })).toMatch(/52\.4 MB/);
  expect(text({ code: "rejected", detail: "It is cut off." })).toBe("It is cut off.");
  expect(text({ code: "rejected" })).toMatch(/not a valid image/);
});
