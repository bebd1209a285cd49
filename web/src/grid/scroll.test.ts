import { expect, test } from "vitest";
import { ScrollMap } from "./scroll";

const TOTAL = 16_000_000;
const LIMIT = 1_000_000;
const VIEWPORT = 800;

function map(total = TOTAL): ScrollMap {
  const scroll = new ScrollMap(LIMIT);
  scroll.resize(total, VIEWPORT);
  return scroll;
}

test("a list below the limit scrolls as it is", () => {
  const scroll = map(500_000);
  scroll.scrolled(123_456);
  expect(scroll.position).toBe(123_456);
  expect(scroll.shift).toBe(0);
  expect(scroll.height).toBe(500_000);
});

test("11: the element is no higher than the limit, and its end is the end of the list", () => {
  const scroll = map();
  expect(scroll.height).toBe(LIMIT);
  scroll.scrolled(LIMIT - VIEWPORT);
  expect(scroll.position).toBe(TOTAL - VIEWPORT);
  scroll.scrolled(0);
  expect(scroll.position).toBe(0);
});

test("a jump goes to the same share of the list", () => {
  const scroll = map();
  scroll.scrolled((LIMIT - VIEWPORT) / 2);
  expect(scroll.position).toBeCloseTo((TOTAL - VIEWPORT) / 2, 0);
});

test("a step moves the list by as much", () => {
  const scroll = map();
  scroll.scrolled(300_000);
  const { position } = scroll;
  scroll.scrolled(300_120);
  expect(scroll.position).toBeCloseTo(position + 120, 6);
  scroll.scrolled(300_050);
  expect(scroll.position).toBeCloseTo(position + 50, 6);
});

test.each([0, 1, 799, 8_000_000, TOTAL - VIEWPORT - 1, TOTAL - VIEWPORT])("goes to %d exactly", (position) => {
  const scroll = map();
  const real = scroll.goTo(position);
  expect(scroll.position).toBe(position);
  expect(real).toBeGreaterThanOrEqual(0);
  expect(real).toBeLessThanOrEqual(LIMIT - VIEWPORT);
  // The browser tells of the scrolling that this causes.
  scroll.scrolled(real);
  expect(scroll.position).toBeCloseTo(position, 6);
});

test("small steps with rests between them reach both ends of the list", () => {
  const scroll = map(2_000_000);
  let real = scroll.goTo(1_999_000 - VIEWPORT);
  for (let i = 0; i < 20 && real < LIMIT - VIEWPORT; i++) {
    scroll.scrolled(Math.min(real + 100, LIMIT - VIEWPORT));
    real = scroll.goTo(scroll.position);
  }
  expect(scroll.position).toBe(2_000_000 - VIEWPORT);
  real = scroll.goTo(1000);
  for (let i = 0; i < 20 && real > 0; i++) {
    scroll.scrolled(Math.max(real - 100, 0));
    real = scroll.goTo(scroll.position);
  }
  expect(scroll.position).toBe(0);
});

test("above the list there is no shift", () => {
  const scroll = map();
  scroll.scrolled(-150);
  expect(scroll.position).toBe(-150);
  expect(scroll.goTo(-150)).toBe(-150);
});

test("what follows the list is below its end", () => {
  const scroll = map();
  const end = LIMIT - VIEWPORT;
  expect(scroll.goTo(TOTAL - VIEWPORT + 90)).toBe(end + 90);
  scroll.scrolled(end + 120);
  expect(scroll.position).toBe(TOTAL - VIEWPORT + 120);
  expect(map(500_000).goTo(499_900)).toBe(499_900);
});
