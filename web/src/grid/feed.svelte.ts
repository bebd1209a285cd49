import { serviceTime } from "../lib/clock";
import { errorText, isAborted, type Image } from "../lib/http";

interface FeedPage {
  results: Image[];
  next_cursor: string | null;
}

/** Reads a page of a list, newest first. */
export type ReadPage = (cursor: string | undefined, signal: AbortSignal) => Promise<FeedPage>;

/** Milliseconds before the end of a URL at which it is renewed. */
const RENEW_BEFORE = 60_000;

/**
 * A list of images that is read page by page. Every image is in it once, whatever is added or removed meanwhile. It
 * outlives the page that shows it, so that Back shows the same row.
 */
export class Feed {
  items = $state.raw<readonly Image[]>([]);
  /** `end` means that all images are there; `error` that reading on failed, as `failure` says. */
  status = $state<"idle" | "loading" | "end" | "error">("idle");
  failure = $state("");
  readonly #read: ReadPage;
  #next: string | undefined;
  /** The cursors of the pages that were read, and the page of each image. */
  #cursors: (string | undefined)[] = [];
  #pages = new Map<string, number>();
  #renewals = new Map<number, Promise<void>>();
  #reading: Promise<void> | null = null;
  /** True from `reload` until its first page takes the place of what is shown. */
  #isStale = false;
  #abort = new AbortController();

  constructor(read: ReadPage) {
    this.#read = read;
  }

  /** Reads the next page that has images. Does nothing at the end, or after an error until `retry`. */
  more(): Promise<void> {
    if (this.status === "end" || this.status === "error") return Promise.resolve();
    return this.#reading ?? this.#start();
  }

  retry(): Promise<void> {
    if (this.status === "error") this.status = "idle";
    return this.more();
  }

  /** Reads all that is left, also after an error. Returns false if that failed. */
  async all(): Promise<boolean> {
    const { signal } = this.#abort;
    if (this.status === "error") this.status = "idle";
    while (!signal.aborted && (this.status === "idle" || this.status === "loading")) await this.more();
    return !signal.aborted && this.status === "end";
  }

  /** Starts anew. What is shown stays until the first page is there. */
  reload(): Promise<void> {
    this.#cancel();
    this.#next = undefined;
    this.#cursors = [];
    this.#pages.clear();
    this.status = "idle";
    this.#isStale = true;
    return this.#start();
  }

  /** Puts new images before the first one. */
  prepend(images: readonly Image[]): void {
    const fresh = images.filter(({ id }) => !this.#pages.has(id));
    for (const { id } of fresh) this.#pages.set(id, 0);
    if (fresh.length > 0) this.items = [...fresh, ...this.items];
  }

  /** Replaces an image of the list by its newer state. */
  update(image: Image): void {
    this.updateAll([image]);
  }

  updateAll(images: readonly Image[]): void {
    const changed = new Map(images.filter(({ id }) => this.#pages.has(id)).map((image) => [image.id, image]));
    if (changed.size > 0) this.items = this.items.map((item) => changed.get(item.id) ?? item);
  }

  remove(ids: ReadonlySet<string>): void {
    for (const id of ids) this.#pages.delete(id);
    this.items = this.items.filter(({ id }) => !ids.has(id));
  }

  /**
   * Puts images where they belong by their time. `before` is an earlier state of the list, which says how images of one
   * moment follow each other.
   */
  insert(images: readonly Image[], before: readonly Image[] = []): void {
    const back = images.filter(({ id }) => !this.#pages.has(id));
    if (back.length === 0) return;
    // Their URLs are renewed with the first page, which is of no harm where they are on another one.
    for (const { id } of back) this.#pages.set(id, 0);
    const place = new Map(before.map(({ id }, index) => [id, index]));
    const rank = ({ id }: Image): number => place.get(id) ?? 0;
    this.items = [...this.items, ...back].sort(
      // Newest first; a batch is of one moment.
      (a, b) => (a.created_at === b.created_at ? rank(a) - rank(b) : a.created_at < b.created_at ? 1 : -1),
    );
  }

  /** Drops everything and cancels what is being read. */
  clear(): void {
    this.#cancel();
    this.#next = undefined;
    this.#cursors = [];
    this.#pages.clear();
    this.items = [];
    this.#isStale = false;
    this.status = "idle";
  }

  /** Reads the page of an image again if its URLs end soon. */
  renew(image: Image): void {
    if (!expiresSoon(image)) return;
    const page = this.#pages.get(image.id);
    if (page === undefined || this.#renewals.has(page)) return;
    const renewal = this.#renew(page).finally(() => this.#renewals.delete(page));
    this.#renewals.set(page, renewal);
  }

  #start(): Promise<void> {
    const reading = this.#readNext().finally(() => {
      if (this.#reading === reading) this.#reading = null;
    });
    this.#reading = reading;
    return reading;
  }

  async #renew(page: number): Promise<void> {
    try {
      const { results } = await this.#read(this.#cursors[page], this.#abort.signal);
      const renewed = new Map(results.map((image) => [image.id, image]));
      // An answer that took long does not bring an earlier state back.
      const newer = (item: Image) => {
        const image = renewed.get(item.id);
        return image && image.updated_at >= item.updated_at ? image : item;
      };
      this.items = this.items.map(newer);
    } catch {
      // The image's own error shows, and the next time that it comes into view this is tried again.
    }
  }

  async #readNext(): Promise<void> {
    const { signal } = this.#abort;
    this.status = "loading";
    this.failure = "";
    try {
      let fresh: Image[] = [];
      // A page may be empty while more follow.
      do {
        const cursor = this.#next;
        const page = await this.#read(cursor, signal);
        if (signal.aborted) return;
        const number = this.#cursors.push(cursor) - 1;
        fresh = page.results.filter(({ id }) => !this.#pages.has(id));
        for (const { id } of fresh) this.#pages.set(id, number);
        this.#next = page.next_cursor ?? undefined;
      } while (fresh.length === 0 && this.#next !== undefined);
      this.items = this.#isStale ? fresh : [...this.items, ...fresh];
      this.#isStale = false;
      this.status = this.#next === undefined ? "end" : "idle";
    } catch (error) {
      if (signal.aborted) return;
      this.status = isAborted(error) ? "idle" : "error";
      this.failure = errorText(error);
    }
  }

  #cancel(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#reading = null;
  }
}

export function expiresSoon(image: Image, now = serviceTime()): boolean {
  return image.url_expires_at != null && Date.parse(image.url_expires_at) - now < RENEW_BEFORE;
}
