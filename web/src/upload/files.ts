/** Reads what a person dropped or chose, without opening any file. */

import type { Drop } from "./drop";

export interface Found {
  file: File;
  /** Path below the dropped folder, or the file's name: the image's title. */
  path: string;
}

/** A part of what was dropped or chosen. */
export interface Part {
  found: Found[];
  /** Number of files that systems and applications leave beside pictures. */
  skipped: number;
  /** Paths of what could not be read. */
  unreadable: string[];
}

/** Milliseconds that reading may hold the page at a time. */
const SLICE = 12;
const PART = 500;

const SIDECAR_NAMES = new Set(["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini", "zbthumbnail.info"]);
const SIDECAR_FOLDERS = new Set(["__macosx", "@eadir"]);
const SIDECAR_EXTENSIONS = /\.(xmp|aae|thm|lrv|json|pp3|dop|on1|cos|nksc|ini|db|lnk|tmp|part|crdownload)$/;

/** Returns true for a file that is not a picture but lies beside pictures, and for hidden files. */
export function isSidecar(path: string): boolean {
  const parts = path.toLowerCase().split("/");
  const name = parts.pop() ?? "";
  return (
    name.startsWith(".") ||
    SIDECAR_NAMES.has(name) ||
    SIDECAR_EXTENSIONS.test(name) ||
    parts.some((part) => part.startsWith(".") || SIDECAR_FOLDERS.has(part))
  );
}

/** Lists files of a drop, folders with all that is below them. */
export async function* readDrop(drop: Drop): AsyncGenerator<Part> {
  const collect = new Collector();
  // Depth first: the list holds only the siblings along one path.
  const rest: (FileSystemEntry | File)[] = [...drop].reverse();
  for (let next = rest.pop(); next; next = rest.pop()) {
    if (next instanceof File) {
      collect.file(next, next.name);
    } else if (isDirectory(next)) {
      if (isSidecar(`${below(next)}/`)) {
        collect.part.skipped += 1;
      } else {
        try {
          rest.push(...(await entriesOf(next)).reverse());
        } catch {
          collect.part.unreadable.push(below(next));
        }
      }
    } else if (isSidecar(below(next))) {
      collect.part.skipped += 1;
    } else {
      try {
        collect.file(await fileOf(next as FileSystemFileEntry), below(next));
      } catch {
        collect.part.unreadable.push(below(next));
      }
    }
    yield* collect.due();
  }
  yield* collect.rest();
}

/** Lists files of a file input, with folders or without. */
export async function* readInput(files: ArrayLike<File>): AsyncGenerator<Part> {
  const collect = new Collector();
  for (let index = 0; index < files.length; index++) {
    const file = files[index];
    if (!file) continue;
    const path = file.webkitRelativePath;
    collect.file(file, path ? path.slice(path.indexOf("/") + 1) : file.name);
    yield* collect.due();
  }
  yield* collect.rest();
}

class Collector {
  part: Part = { found: [], skipped: 0, unreadable: [] };
  #since = performance.now();

  file(file: File, path: string): void {
    if (isSidecar(path)) this.part.skipped += 1;
    else this.part.found.push({ file, path: path.normalize("NFC") });
  }

  /** Returns the files collected so far when a part is full, and yields to the browser when a slice of time is over. */
  async *due(): AsyncGenerator<Part> {
    if (this.part.found.length >= PART) yield* this.rest();
    if (performance.now() - this.#since > SLICE) {
      await yieldToBrowser();
      this.#since = performance.now();
    }
  }

  *rest(): Generator<Part> {
    const part = this.part;
    this.part = { found: [], skipped: 0, unreadable: [] };
    if (part.found.length + part.skipped + part.unreadable.length > 0) yield part;
  }
}

/** Lets the page handle input and draw. */
export function yieldToBrowser(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

function isDirectory(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}

/** Path below the entry that was dropped, or its own name. `fullPath` is `/dropped/sub/name`. */
function below(entry: FileSystemEntry): string {
  const parts = entry.fullPath.split("/").filter(Boolean);
  return (parts.length > 1 ? parts.slice(1) : parts).join("/");
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** A reader gives at most a hundred entries at a time, and none at the end. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}
