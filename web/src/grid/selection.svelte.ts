interface Identified {
  id: string;
}

/**
 * Which images of a list are selected, by id. A range is of the list, not of what is rendered: it holds exactly the
 * images between both ends, both included, in either direction.
 */
export class Selection {
  /** Changed in place, and observed by the number of its changes: a copy of ten thousand ids at each click takes time. */
  #ids = new Set<string>();
  #changes = $state(0);
  /** The image from which a range starts. */
  #anchor: string | null = null;
  /** What was selected before the range; null while there is none. */
  #base: ReadonlySet<string> | null = null;

  get ids(): ReadonlySet<string> {
    void this.#changes;
    return this.#ids;
  }

  get count(): number {
    return this.ids.size;
  }

  has(id: string): boolean {
    return this.ids.has(id);
  }

  /** Selects an image, or takes it out, and starts a range there. */
  toggle(id: string): void {
    if (!this.#ids.delete(id)) this.#ids.add(id);
    this.#base = null;
    this.#anchor = id;
    this.#changes++;
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
    this.#base ??= new Set(this.#ids);
    this.#ids = new Set(this.#base);
    for (let i = Math.min(from, to); i <= Math.max(from, to); i++) {
      const item = items[i];
      if (item) this.#ids.add(item.id);
    }
    this.#changes++;
  }

  /** Selects all of a list. What is not loaded yet must be read first. */
  all(items: readonly Identified[]): void {
    this.#set(
      items.map(({ id }) => id),
      items[0]?.id ?? null,
    );
  }

  clear(): void {
    this.#set([], null);
  }

  /** Forgets images that are gone. */
  drop(ids: ReadonlySet<string>): void {
    this.#set(
      [...this.#ids].filter((id) => !ids.has(id)),
      this.#anchor,
    );
  }

  #set(ids: Iterable<string>, anchor: string | null): void {
    this.#ids = new Set(ids);
    this.#base = null;
    this.#anchor = anchor;
    this.#changes++;
  }
}
