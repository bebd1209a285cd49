import { expect, test } from "vitest";
import { Selection } from "./selection.svelte";

const items = "abcdefghij".split("").map((id) => ({ id }));
const chosen = (selection: Selection) => [...selection.ids].sort().join("");

test("15: Shift selects exactly the range, downwards and upwards", () => {
  const selection = new Selection();
  selection.toggle("e");
  selection.extend("g", items);
  expect(chosen(selection)).toBe("efg");
  selection.extend("c", items);
  expect(chosen(selection)).toBe("cde");
  selection.extend("e", items);
  expect(chosen(selection)).toBe("e");
});

test("15: what was selected before stays beside the range", () => {
  const selection = new Selection();
  selection.toggle("a");
  selection.toggle("h");
  selection.extend("f", items);
  expect(chosen(selection)).toBe("afgh");
  selection.extend("j", items);
  expect(chosen(selection)).toBe("ahij");
});

test("a range without a start selects its end alone", () => {
  const selection = new Selection();
  selection.extend("d", items);
  expect(chosen(selection)).toBe("d");
  selection.extend("f", items);
  expect(chosen(selection)).toBe("def");
});

test("all, clear and drop", () => {
  const selection = new Selection();
  selection.all(items);
  expect(selection.count).toBe(10);
  selection.drop(new Set(["a", "j", "unknown"]));
  expect(chosen(selection)).toBe("bcdefghi");
  selection.clear();
  expect(selection.count).toBe(0);
});
