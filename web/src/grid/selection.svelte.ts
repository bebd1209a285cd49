interface Identified {
  id: string;
}

/**
 * Which images of a list are selected, by id. A range is of the list, not of what is rendered: it holds exactly the
 * images between both ends, both included, in either direction.
 */
export class Selection {
  ids = $state.raw<ReadonlySet<string>>(new Set());
  /** The image from which a range starts, and what was selected apart from the range. */
  #anchor: string | null = null;
  #base: ReadonlySet<string> = new Set();

  get count(): number {
    return this.ids.size;
  }

  has(id: string): boolean {
    return this.ids.has(id);
  }

  /** Selects an image, or takes it out, and starts a range there. */
  toggle(id: string): void {
    const ids = new Set(this.ids);
    if (!ids.delete(id)) ids.add(id);
    this.#set(ids, id);
  }

  /** Selects the range from where the last one was started to this image, in place of the last range. */
  extend(id: string, items: readonly Identified[]): void {
    const to = items.findIndex((item) => item.id === id);
    const from = items.findIndex((item) => item.id === this.#anchor);
    if (to < 0) return;
    if (from < 0) {
      if (!this.has(id)) this.toggle(id);
      return;
    }
    const ids = new Set(this.#base);
    for (let i = Math.min(from, to); i <= Math.max(from, to); i++) {
      const item = items[i];
      if (item) ids.add(item.id);
    }
    this.ids = ids;
  }

  /** Selects all of a list. What is not loaded yet must be read first. */
  all(items: readonly Identified[]): void {
    this.#set(new Set(items.map(({ id }) => id)), items[0]?.id ?? null);
  }

  clear(): void {
    this.#set(new Set(), null);
  }

  /** Forgets images that are gone. */
  drop(ids: ReadonlySet<string>): void {
    this.#set(new Set([...this.ids].filter((id) => !ids.has(id))), this.#anchor);
  }

  #set(ids: ReadonlySet<string>, anchor: string | null): void {
    this.ids = ids;
    this.#base = ids;
    this.#anchor = anchor;
  }
}
