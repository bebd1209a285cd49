import { expect, test } from "vitest";

import { nextTitle, normalTitle, titleProblem } from "./titles";

test.each([
  ["a.jpg", "a (2).jpg"],
  ["a (2).jpg", "a (3).jpg"],
  ["day/a (9).jpeg", "day/a (10).jpeg"],
  ["no extension", "no extension (2)"],
  ["v1.2/photo", "v1.2/photo (2)"],
])("after %s comes %s", (title, next) => expect(nextTitle(title)).toBe(next));

test("another title is never too long", () => {
  const next = nextTitle(`${"\u{1f5bc}".repeat(252)}.jpg`);
  expect([...next].length).toBe(256);
  expect(next.endsWith(" (2).jpg")).toBe(true);
});

test("titles are compared after trimming and in NFC", () => {
  expect(normalTitle(" Cafe\u0301 ")).toBe("Caf\u00e9");
});

test.each([
  ["a", null],
  [" ", "empty"],
  ["x".repeat(257), "too_long"],
  ["a\tb", "control"],
])("%j: %s", (title, problem) => expect(titleProblem(title)).toBe(problem));
