import { expect, test } from "vitest";

import { visibleRows } from "./rows";

test.each([
  [0, 0, 300, { from: 0, to: 0 }],
  [3, 0, 300, { from: 0, to: 3 }],
  [20_000, 0, 300, { from: 0, to: 9 }],
  [20_000, 1_000_000, 300, { from: 15_621, to: 15_634 }],
  [20_000, 0, 1_000_000, { from: 0, to: 60 }],
  // A list that is shorter than the position it was scrolled to.
  [10, 5000, 300, { from: 5, to: 10 }],
])("of %i rows at %i, %i high", (count, top, height, shown) => {
  expect(visibleRows(count, 64, top, height)).toEqual(shown);
});
