import "fake-indexeddb/auto";

import { expect, test } from "vitest";

import { MemoryJournal, openJournal, stampOf } from "./journal";

const user = (() => {
  let number = 0;
  return () => `user${++number}`;
})();

test("what was noted outlives the page, for its user alone", async () => {
  const ada = user();
  let journal = await openJournal(ada);
  await journal.note([
    { content: "c1", id: "i1", stamp: "s1" },
    { content: "c2", id: "i2" },
  ]);
  await journal.setReadUpTo(7);
  journal.close();
  journal = await openJournal(ada);
  expect([await journal.contentOf("s1"), await journal.imageOf("c1"), await journal.imageOf("c2")]).toEqual([
    "c1",
    "i1",
    "i2",
  ]);
  expect(await journal.readUpTo()).toBe(7);
  const other = await openJournal(user());
  expect([await other.contentOf("s1"), await other.imageOf("c1"), await other.readUpTo()]).toEqual([
    undefined,
    undefined,
    0,
  ]);
});

test("deleted images are forgotten", async () => {
  for (const journal of [await openJournal(user()), new MemoryJournal()]) {
    await journal.note([
      { content: "c1", id: "i1" },
      { content: "c2", id: "i2" },
    ]);
    await journal.forget(["i1", "unknown"]);
    expect([await journal.imageOf("c1"), await journal.imageOf("c2")]).toEqual([undefined, "i2"]);
  }
});

test("a browser without a database keeps a journal for the page", async () => {
  const { indexedDB } = globalThis;
  Object.defineProperty(globalThis, "indexedDB", { value: undefined, configurable: true });
  const journal = await openJournal(user());
  Object.defineProperty(globalThis, "indexedDB", { value: indexedDB, configurable: true });
  expect(journal).toBeInstanceOf(MemoryJournal);
});

test("files look different by path, size and time", () => {
  const file = (size: number, lastModified: number): File => new File(["x".repeat(size)], "a", { lastModified });
  const stamps = [
    stampOf("a", file(1, 1)),
    stampOf("b", file(1, 1)),
    stampOf("a", file(2, 1)),
    stampOf("a", file(1, 2)),
  ];
  expect(new Set(stamps).size).toBe(4);
  expect(stampOf("a", file(1, 1))).toBe(stamps[0]);
});
