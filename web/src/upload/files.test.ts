import { describe, expect, test } from "vitest";

import type { Drop } from "./drop";
import { isSidecar, type Part, readDrop, readInput } from "./files";

/** A folder as browsers give it: a hundred entries at a time. */
function folder(path: string, children: FileSystemEntry[]): FileSystemEntry {
  return {
    isDirectory: true,
    isFile: false,
    fullPath: path,
    name: path.split("/").pop() ?? "",
    createReader() {
      let at = 0;
      return {
        readEntries(give: (entries: FileSystemEntry[]) => void) {
          const some = children.slice(at, at + 100);
          at += 100;
          setTimeout(() => give(some));
        },
      };
    },
  } as unknown as FileSystemEntry;
}

function entry(path: string, readable = true): FileSystemEntry {
  const name = path.split("/").pop() ?? "";
  return {
    isDirectory: false,
    isFile: true,
    fullPath: path,
    name,
    file(give: (file: File) => void, refuse: (error: Error) => void) {
      if (readable) give(new File(["x"], name));
      else refuse(new Error("It cannot be read."));
    },
  } as unknown as FileSystemEntry;
}

async function gather(parts: AsyncGenerator<Part>): Promise<Part> {
  const all: Part = { found: [], skipped: 0, unreadable: [] };
  for await (const part of parts) {
    all.found.push(...part.found);
    all.skipped += part.skipped;
    all.unreadable.push(...part.unreadable);
  }
  return all;
}

describe("a drop", () => {
  test("of a folder of 250 files with subfolders comes whole", async () => {
    const many = Array.from({ length: 250 }, (_, index) => entry(`/trip/${index}.jpg`));
    const deep = folder("/trip/day", [
      folder("/trip/day/morning", [entry("/trip/day/morning/a.jpg")]),
      entry("/trip/day/b.jpg"),
    ]);
    const { found } = await gather(readDrop([folder("/trip", [...many, deep])]));
    expect(found.length).toBe(252);
    expect(found.slice(-2).map(({ path }) => path)).toEqual(["day/morning/a.jpg", "day/b.jpg"]);
  });

  test("passes over sidecars and names what cannot be read", async () => {
    const drop: Drop = [
      folder("/trip", [
        entry("/trip/.DS_Store"),
        entry("/trip/a.xmp"),
        folder("/trip/@eaDir", [entry("/trip/@eaDir/a.jpg")]),
        entry("/trip/b.jpg", false),
        entry("/trip/c.jpg"),
      ]),
      new File(["x"], "d.jpg"),
    ];
    const { found, skipped, unreadable } = await gather(readDrop(drop));
    expect(found.map(({ path }) => path)).toEqual(["c.jpg", "d.jpg"]);
    expect([skipped, unreadable]).toEqual([3, ["b.jpg"]]);
  });

  test("gives paths in Unicode NFC", async () => {
    const { found } = await gather(readDrop([folder("/x", [entry("/x/Cafe\u0301/1.jpg")])]));
    expect(found[0]?.path).toBe("Caf\u00e9/1.jpg");
  });
});

test("files that were chosen are named by their path below the folder", async () => {
  const below = new File(["x"], "1.jpg");
  Object.defineProperty(below, "webkitRelativePath", { value: "trip/day/1.jpg" });
  const { found } = await gather(readInput([below, new File(["x"], "2.jpg")]));
  expect(found.map(({ path }) => path)).toEqual(["day/1.jpg", "2.jpg"]);
});

test("20,000 files come in parts, and the page breathes between them", async () => {
  const file = new File(["x"], "1.jpg");
  let [parts, longest, since] = [0, 0, performance.now()];
  const beat = setInterval(() => {
    longest = Math.max(longest, performance.now() - since);
    since = performance.now();
  });
  for await (const { found } of readInput(Array<File>(20_000).fill(file))) {
    parts += 1;
    expect(found.length).toBeLessThanOrEqual(500);
  }
  clearInterval(beat);
  expect(parts).toBe(40);
  expect(longest).toBeLessThan(200);
});

test.each(["Thumbs.db", "a/.hidden/b.jpg", ".DS_Store", "__MACOSX/a.jpg", "IMG_1.AAE", "IMG_1.jpg.json"])(
  "%s is no picture",
  (path) => expect(isSidecar(path)).toBe(true),
);

test.each(["a.jpg", "a/b.png", "notes.txt", "no extension"])("%s is looked at", (path) =>
  expect(isSidecar(path)).toBe(false),
);
