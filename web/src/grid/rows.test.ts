import { expect, test } from "vitest";
import { ratioOf, Rows, windowOf } from "./rows";

const metrics = { width: 1200, rowHeight: 200, gap: 4 };

/** Ratios that look like a person's photographs, the same in each run. */
function ratios(count: number): number[] {
  const common = [1.5, 0.667, 1.333, 0.75, 1, 1.778, 0.5, 4];
  let seed = 7;
  return Array.from({ length: count }, () => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return common[(seed >> 8) % common.length] ?? 1;
  });
}

test("full rows fill the width, with the ratios of their images and heights near the wanted one", () => {
  const list = ratios(2000);
  const rows = new Rows(list, metrics, false);
  let next = 0;
  for (let row = 0; row < rows.count; row++) {
    const tiles = rows.tiles(row);
    const end = tiles.at(-1);
    expect((end?.x ?? 0) + (end?.width ?? 0)).toBeCloseTo(metrics.width, 3);
    for (const tile of tiles) {
      expect(tile.index).toBe(next++);
      expect(tile.width / tile.height).toBeCloseTo(list[tile.index] ?? 0, 6);
      expect(tile.height).toBeGreaterThan(90);
      expect(tile.height).toBeLessThanOrEqual(metrics.rowHeight * 1.4);
    }
  }
  expect(rows.laidOut).toBe(next);
});

test("rows do not overlap and leave exactly the gap", () => {
  const rows = new Rows(ratios(500), metrics, true);
  for (let row = 1; row < rows.count; row++) {
    const above = rows.tiles(row - 1)[0];
    expect(rows.tiles(row)[0]?.y).toBeCloseTo((above?.y ?? 0) + (above?.height ?? 0) + 4, 6);
  }
});

test("a row that is not full is held back until the list ends", () => {
  const list = [1, 1, 1];
  expect(new Rows(list, metrics, false).laidOut).toBe(0);
  const ended = new Rows(list, metrics, true);
  expect(ended.laidOut).toBe(3);
  expect(ended.tiles(0)[0]).toEqual({ index: 0, x: 0, y: 0, width: 200, height: 200 });
});

test("12: pages that are added move no tile that is shown", () => {
  const list = ratios(1000);
  let rows = new Rows(list.slice(0, 100), metrics, false);
  for (let count = 200; count <= 1000; count += 100) {
    const before = Array.from({ length: rows.count }, (_, row) => rows.tiles(row));
    rows = new Rows(list.slice(0, count), metrics, count === 1000, rows);
    expect(before.map((_, row) => rows.tiles(row))).toEqual(before);
  }
  expect(rows.laidOut).toBe(1000);
  expect(rows.tops).toEqual(new Rows(list, metrics, true).tops);
});

test("a list that goes on after its end fills the last row", () => {
  const list = ratios(203);
  const ended = new Rows(list.slice(0, 101), metrics, true);
  expect(new Rows(list, metrics, true, ended).tops).toEqual(new Rows(list, metrics, true).tops);
});

test.each([
  ["a changed ratio", (list: number[]) => list.with(3, 2)],
  ["a removed image", (list: number[]) => list.slice(1)],
  ["an image at the start", (list: number[]) => [2, ...list]],
])("%s lays all rows out anew", (_, change) => {
  const list = ratios(300);
  const changed = change(list);
  const rows = new Rows(changed, metrics, true, new Rows(list, metrics, true));
  expect(rows.tops).toEqual(new Rows(changed, metrics, true).tops);
});

test("16: an image without a known size is a square, a panorama is cropped", () => {
  expect(ratioOf({ width: null, height: null })).toBe(1);
  expect(ratioOf({ width: 300, height: 200 })).toBe(1.5);
  expect(ratioOf({ width: 20000, height: 200 })).toBe(4);
  expect(ratioOf({ width: 100, height: 9000 })).toBe(0.5);
});

test("rows and images are found by position and index", () => {
  const rows = new Rows(ratios(5000), metrics, true);
  for (const row of [0, 1, 17, rows.count - 1]) {
    expect(rows.rowAt(rows.top(row))).toBe(row);
    expect(rows.rowAt(rows.top(row + 1) - 5)).toBe(row);
    for (const { index } of rows.tiles(row)) expect(rows.rowOf(index)).toBe(row);
  }
  expect(rows.rowAt(-100)).toBe(0);
  expect(rows.rowAt(1e9)).toBe(rows.count - 1);
});

test("the neighbour above or below is the one that is nearest to the middle", () => {
  const rows = new Rows(ratios(200), metrics, true);
  const [left] = rows.tiles(1);
  const right = rows.tiles(1).at(-1);
  expect(rows.neighbour(left?.index ?? 0, 1)).toBe(rows.starts[2]);
  expect(rows.neighbour(right?.index ?? 0, 1)).toBe((rows.starts[3] ?? 0) - 1);
  expect(rows.neighbour(0, -1)).toBe(0);
  expect(rows.neighbour(rows.laidOut - 1, 1)).toBe(rows.laidOut - 1);
});

test.each([
  [320, 640],
  [1280, 720],
  [3840, 2160],
])("11: at %d x %d the window has at most 120 tiles, and all that is in view", (width, height) => {
  const rows = new Rows(ratios(10_000), { width, rowHeight: width < 600 ? 120 : 320, gap: 4 }, true);
  for (const top of [0, 1234, rows.height / 2, rows.height - height]) {
    const { first, end } = windowOf(rows, top, height, height, 120);
    expect((rows.starts[end] ?? 0) - (rows.starts[first] ?? 0)).toBeLessThanOrEqual(120);
    expect(rows.top(first)).toBeLessThanOrEqual(top);
    expect(Math.min(rows.top(end), rows.height)).toBeGreaterThanOrEqual(Math.min(top + height, rows.height) - 4);
  }
});

test("an empty list and a grid without width have no rows", () => {
  expect(windowOf(new Rows([], metrics, true), 0, 700, 700, 120)).toEqual({ first: 0, end: 0 });
  expect(new Rows(ratios(50), { ...metrics, width: 0 }, true).count).toBe(0);
});
