/** The uploads of the user who is logged in, for the page. */

import { deletions } from "../images/deletions";
import { holdPage } from "../lib/busy";
import { errorText, type Visibility } from "../lib/http";
import { notices } from "../lib/notices.svelte";
import { session } from "../lib/session.svelte";
import { service } from "./client";
import type { Drop } from "./drop";
import { type Part, readDrop, readInput } from "./files";
import { ACCEPTED_TYPES } from "./formats";
import { createHasher } from "./hasher";
import { openJournal } from "./journal";
import { put } from "./put";
import { type QueuedFile, type FileState, UploadQueue } from "./queue";

/** Milliseconds between two drawings of the queue. */
const DRAW = 100;
const VISIBILITY = "tintype.visibility";

const NO_COUNTS: Partial<Record<FileState, number>> = {};

class Uploads {
  /** Counts changes of the queue, which itself is too large to be observed. */
  version = $state(0);
  /** Drops and choices that are being read. */
  reading = $state(0);
  visibility = $state<Visibility>(localStorage.getItem(VISIBILITY) === "private" ? "private" : "public");
  #queue: UploadQueue | null = null;
  #opening: Promise<UploadQueue | null> | null = null;
  readonly #hash = createHasher();
  #release: (() => void) | null = null;
  #drawing = false;
  #isDirty = false;
  readonly #listeners = new Set<(id: string) => void>();

  constructor() {
    session.onEnd(() => this.#end());
    window.addEventListener("online", () => this.#queue?.setOnline(true));
    window.addEventListener("offline", () => this.#queue?.setOnline(false));
  }

  /** The queue, observed: what reads it is drawn anew when it changes. */
  get queue(): UploadQueue | null {
    void this.version;
    return this.#queue;
  }

  count(...states: FileState[]): number {
    const counts = this.queue?.counts ?? NO_COUNTS;
    return states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  }

  get items(): readonly QueuedFile[] {
    return this.queue?.items ?? [];
  }

  setVisibility(visibility: Visibility): void {
    this.visibility = visibility;
    localStorage.setItem(VISIBILITY, visibility);
  }

  addDrop(drop: Drop): Promise<void> {
    return this.#add(readDrop(drop));
  }

  addFiles(files: ArrayLike<File>): Promise<void> {
    return this.#add(readInput(files));
  }

  /** Goes on after the user has logged in again. */
  resume(): void {
    this.#queue?.resume();
  }

  /** Calls `listener` for each image that becomes ready. Returns the function that ends this. */
  onReady(listener: (id: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async forget(ids: string[]): Promise<void> {
    await (await this.#open())?.forget(ids);
  }

  async #add(parts: AsyncGenerator<Part>): Promise<void> {
    this.reading += 1;
    const release = holdPage();
    try {
      // A file whose image is about to be deleted is not there already.
      await deletions.flush();
      const queue = await this.#open();
      for await (const part of parts) {
        if (!queue || queue.ended) break;
        queue.add(part, this.visibility);
      }
    } catch (error) {
      notices.error(errorText(error));
    } finally {
      this.reading -= 1;
      release();
    }
  }

  #open(): Promise<UploadQueue | null> {
    this.#opening ??= this.#create();
    return this.#opening;
  }

  async #create(): Promise<UploadQueue | null> {
    const { generation, me } = session;
    if (!me) {
      this.#opening = null;
      return null;
    }
    const journal = await openJournal(me.id);
    if (generation !== session.generation) {
      journal.close();
      return null;
    }
    this.#queue = new UploadQueue({
      service,
      journal,
      hash: this.#hash,
      put,
      accepted: ACCEPTED_TYPES,
      onChange: () => this.#changed(),
      onReady: (id) => {
        for (const listener of this.#listeners) listener(id);
      },
    });
    if (!navigator.onLine) this.#queue.setOnline(false);
    return this.#queue;
  }

  #end(): void {
    this.#opening = null;
    this.#queue?.end();
    this.#queue = null;
    this.#changed();
  }

  #changed(): void {
    const active = (this.#queue?.active ?? 0) > 0;
    if (active) {
      this.#release ??= holdPage();
    } else {
      this.#release?.();
      this.#release = null;
    }
    // The first change is drawn at once, and what follows closely together with the last of it.
    if (this.#drawing) {
      this.#isDirty = true;
      return;
    }
    this.version += 1;
    this.#drawing = true;
    setTimeout(() => {
      this.#drawing = false;
      if (!this.#isDirty) return;
      this.#isDirty = false;
      this.#changed();
    }, DRAW);
  }
}

export const uploads = new Uploads();
