import { api, ask, errorText, isAborted } from "../lib/api";
import { notices } from "../lib/notices.svelte";
import { session } from "../lib/session.svelte";
import { words } from "../lib/words";
import { formatNumber } from "../lib/format";

/** Ids in one request: the service takes a thousand, and a page that is being closed may send 64 KiB. */
export const MAX_UNDO = 1000;
const UNDO_SECONDS = 10;

/** Shows images again that were not deleted. */
type Restore = (ids: ReadonlySet<string>) => void;
/** Takes note of images that were deleted. */
type Deleted = (ids: string[]) => void;

interface Deletion {
  ids: ReadonlySet<string>;
  restore: Restore;
  deleted: Deleted;
  undone: () => void;
  notice: number;
  timer: ReturnType<typeof setTimeout>;
}

/**
 * Deletions that can be undone. Nothing is sent until the time for that is over, the next deletion begins, the user logs
 * out or the page is closed: so what the page says is what the service will do.
 */
class Deletions {
  #pending: Deletion | null = null;
  /** Images that are deleted, or will be. */
  readonly #gone = new Set<string>();

  constructor() {
    window.addEventListener("pagehide", () => this.#sendWhileClosing());
    session.beforeLogOut(() => this.flush());
    session.onEnd(() => this.#drop());
  }

  /**
   * Deletes images once the time to undo it is over. `show` shows them again if they stay, `undone` is called afterwards
   * if that is what the user wants.
   */
  async begin(ids: string[], show: Restore, deleted: Deleted, undone: () => void): Promise<void> {
    void this.flush();
    for (const id of ids) this.#gone.add(id);
    const restore: Restore = (back) => {
      for (const id of back) this.#gone.delete(id);
      show(back);
    };
    const count = formatNumber(ids.length);
    const text = ids.length === 1 ? words.deletion.one : words.deletion.many(count);
    const notice = notices.info(text, { label: words.deletion.undo, run: () => this.#undo() });
    const timer = setTimeout(() => void this.flush(), UNDO_SECONDS * 1000);
    this.#pending = { ids: new Set(ids), restore, deleted, undone, notice, timer };
    // A page that is being closed cannot renew the token.
    await session.renewIfShort(UNDO_SECONDS * 2).catch(() => undefined);
  }

  /** True for an image that is deleted or will be, though lists may still have it. */
  has(id: string): boolean {
    return this.#gone.has(id);
  }

  /** Sends what is pending now. */
  async flush(): Promise<void> {
    const deletion = this.#take();
    if (deletion) await deleteNow([...deletion.ids], deletion.restore, deletion.deleted);
  }

  #undo(): void {
    const deletion = this.#take();
    if (!deletion) return;
    const count = deletion.ids.size;
    deletion.restore(deletion.ids);
    deletion.undone();
    notices.info(count === 1 ? words.deletion.keptOne : words.deletion.kept(formatNumber(count)));
  }

  #sendWhileClosing(): void {
    const deletion = this.#take();
    if (!deletion || !session.token) return;
    const headers = { Authorization: `Bearer ${session.token}`, "Content-Type": "application/json" };
    void fetch("/api/images/delete", {
      method: "POST",
      headers,
      body: JSON.stringify({ ids: [...deletion.ids] }),
      keepalive: true,
    }).catch(() => undefined);
  }

  #take(): Deletion | null {
    const deletion = this.#pending;
    this.#pending = null;
    if (deletion) {
      clearTimeout(deletion.timer);
      notices.remove(deletion.notice);
    }
    return deletion;
  }

  /** The session has ended elsewhere: the images stay. */
  #drop(): void {
    this.#take();
    this.#gone.clear();
  }
}

/** Deletes images at once, a thousand with each request, until `signal` ends it, and tells of those that stay. */
export async function deleteNow(
  ids: string[],
  restore: Restore,
  deleted: Deleted,
  { onDone, signal }: { onDone?: (count: number) => void; signal?: AbortSignal } = {},
): Promise<void> {
  for (let at = 0; at < ids.length; at += MAX_UNDO) {
    if (signal?.aborted) return restore(new Set(ids.slice(at)));
    const some = ids.slice(at, at + MAX_UNDO);
    try {
      const answer = await ask(api.POST("/api/images/delete", { body: { ids: some } }));
      // The other answer is to deleting all images.
      const results = "results" in answer ? answer.results : [];
      const left = results.filter(({ status }) => status !== 204 && status !== 404);
      const kept = new Set(left.map(({ id }) => id));
      deleted(some.filter((id) => !kept.has(id)));
      if (left.length > 0) {
        restore(kept);
        notices.error(words.deletion.failed(formatNumber(left.length), left[0]?.error?.detail ?? ""));
      }
    } catch (error) {
      if (isAborted(error)) return;
      const rest = ids.slice(at);
      restore(new Set(rest));
      notices.error(words.deletion.failed(formatNumber(rest.length), errorText(error)));
      return;
    }
    onDone?.(Math.min(at + MAX_UNDO, ids.length));
  }
}

export const deletions = new Deletions();
