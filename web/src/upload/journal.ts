/**
 * The user's images that this browser knows of, by content: its own uploads, and those that the service listed. It outlives the
 * page, so that after a reload the same files are recognised. It holds no names: files are found by a hash.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { type DBSchema, type IDBPDatabase, openDB } from "idb";

/** Milliseconds. */
const KEPT = 180 * 24 * 3600 * 1000;

export interface Journal {
  /** The content of a file that looks like this, if it was seen before. */
  contentOf(stamp: string): Promise<string | undefined>;
  /** The image that has this content, as far as is known. */
  imageOf(content: string): Promise<string | undefined>;
  /** Notes images by content, and files by stamp. */
  note(entries: { content: string; id: string; stamp?: string }[]): Promise<void>;
  /** Forgets deleted images. */
  forget(ids: string[]): Promise<void>;
  /** The creation time up to which the service's list has been read, in milliseconds. */
  readUpTo(): Promise<number>;
  setReadUpTo(time: number): Promise<void>;
  close(): void;
}

/** Identifies a file of a user by what is known without opening it. */
export function stampOf(path: string, file: File): string {
  const text = `${file.size}\n${file.lastModified}\n${path}`;
  return bytesToHex(sha256(utf8ToBytes(text)).subarray(0, 16));
}

interface Schema extends DBSchema {
  files: {
    key: [string, string];
    value: { user: string; stamp: string; content: string; at: number };
    indexes: { at: number };
  };
  contents: {
    key: [string, string];
    value: { user: string; content: string; id: string };
    indexes: { id: [string, string] };
  };
  users: { key: string; value: { user: string; readUpTo: number } };
}

/** Opens a user's journal; in memory where the browser keeps none. */
export async function openJournal(user: string): Promise<Journal> {
  try {
    const base = await openDB<Schema>("tintype-uploads", 1, {
      upgrade(fresh) {
        fresh.createObjectStore("files", { keyPath: ["user", "stamp"] }).createIndex("at", "at");
        fresh.createObjectStore("contents", { keyPath: ["user", "content"] }).createIndex("id", ["user", "id"]);
        fresh.createObjectStore("users", { keyPath: "user" });
      },
      blocking: (_old, _new, event) => (event.target as IDBDatabase).close(),
    });
    await drop(base, Date.now() - KEPT);
    return new StoredJournal(base, user);
  } catch {
    return new MemoryJournal();
  }
}

async function drop(base: IDBPDatabase<Schema>, before: number): Promise<void> {
  const change = base.transaction("files", "readwrite");
  for await (const cursor of change.store.index("at").iterate(IDBKeyRange.upperBound(before))) await cursor.delete();
  await change.done;
}

class StoredJournal implements Journal {
  constructor(
    private readonly base: IDBPDatabase<Schema>,
    private readonly user: string,
  ) {}

  async contentOf(stamp: string): Promise<string | undefined> {
    return (await this.base.get("files", [this.user, stamp]))?.content;
  }

  async imageOf(content: string): Promise<string | undefined> {
    return (await this.base.get("contents", [this.user, content]))?.id;
  }

  async note(entries: { content: string; id: string; stamp?: string }[]): Promise<void> {
    const { user } = this;
    const change = this.base.transaction(["files", "contents"], "readwrite");
    for (const { content, id, stamp } of entries) {
      void change.objectStore("contents").put({ user, content, id });
      if (stamp) void change.objectStore("files").put({ user, stamp, content, at: Date.now() });
    }
    await change.done;
  }

  async forget(ids: string[]): Promise<void> {
    const change = this.base.transaction("contents", "readwrite");
    for (const id of ids) {
      const key = await change.store.index("id").getKey([this.user, id]);
      if (key) await change.store.delete(key);
    }
    await change.done;
  }

  async readUpTo(): Promise<number> {
    return (await this.base.get("users", this.user))?.readUpTo ?? 0;
  }

  async setReadUpTo(time: number): Promise<void> {
    await this.base.put("users", { user: this.user, readUpTo: time });
  }

  close(): void {
    this.base.close();
  }
}

export class MemoryJournal implements Journal {
  readonly #files = new Map<string, string>();
  readonly #contents = new Map<string, string>();
  #readUpTo = 0;

  contentOf(stamp: string): Promise<string | undefined> {
    return Promise.resolve(this.#files.get(stamp));
  }

  imageOf(content: string): Promise<string | undefined> {
    return Promise.resolve(this.#contents.get(content));
  }

  note(entries: { content: string; id: string; stamp?: string }[]): Promise<void> {
    for (const { content, id, stamp } of entries) {
      this.#contents.set(content, id);
      if (stamp) this.#files.set(stamp, content);
    }
    return Promise.resolve();
  }

  forget(ids: string[]): Promise<void> {
    const gone = new Set(ids);
    for (const [content, id] of this.#contents) if (gone.has(id)) this.#contents.delete(content);
    return Promise.resolve();
  }

  readUpTo(): Promise<number> {
    return Promise.resolve(this.#readUpTo);
  }

  setReadUpTo(time: number): Promise<void> {
    this.#readUpTo = time;
    return Promise.resolve();
  }

  close(): void {}
}
