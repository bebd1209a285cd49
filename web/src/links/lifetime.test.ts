import { expect, test } from "vitest";
import { formatLeft, LIFETIMES, MAX_LIFETIME, MIN_LIFETIME, toClock, toLifetime } from "./lifetime";

const units = { hours: "h", minutes: "min", seconds: "s" };

test("17: a time is the same to the second as a clock and in seconds", () => {
  const all = Array.from({ length: MAX_LIFETIME - MIN_LIFETIME + 1 }, (_, index) => MIN_LIFETIME + index);
  expect(all.filter((lifetime) => toLifetime(toClock(lifetime)) !== lifetime)).toEqual([]);
});

test("17: only what the service takes is a lifetime", () => {
  expect(toLifetime({ hours: 0, minutes: 4, seconds: 59 })).toBeNull();
  expect(toLifetime({ hours: 8, minutes: 20, seconds: 1 })).toBeNull();
  expect(toLifetime({ hours: 8, minutes: 20, seconds: 0 })).toBe(30_000);
  expect(toLifetime({ hours: null, minutes: 90, seconds: undefined })).toBe(5400);
  expect(toLifetime({ hours: -1, minutes: 90, seconds: 0 })).toBeNull();
  expect(toLifetime({ hours: 1.5, minutes: 0, seconds: 0 })).toBeNull();
  expect(toLifetime({ hours: null, minutes: null, seconds: null })).toBeNull();
  for (const choice of LIFETIMES) expect(toLifetime(toClock(choice))).toBe(choice);
});

test("what is left is told in the two largest units", () => {
  expect(formatLeft(4_800_000, units)).toBe("1 h 20 min");
  expect(formatLeft(3_599_999, units)).toBe("59 min 59 s");
  expect(formatLeft(59_999, units)).toBe("59 s");
  expect(formatLeft(-5, units)).toBe("0 s");
});
