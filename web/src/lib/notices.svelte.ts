import { session } from "./session.svelte";

/** Messages at the edge of the page. Errors are announced at once (`role=alert`), the rest politely. */
export interface Notice {
  id: number;
  kind: "error" | "info";
  text: string;
  action?: { label: string; run: () => void };
}

const SECONDS = 8;
let last = 0;

class NoticeList {
  list = $state<Notice[]>([]);

  constructor() {
    // They are about what the user did.
    session.onEnd(() => (this.list = []));
  }

  error(text: string): void {
    this.#add({ kind: "error", text });
  }

  /** An info without an action goes away by itself. */
  info(text: string, action?: Notice["action"]): number {
    const id = this.#add({ kind: "info", text, action });
    if (!action) setTimeout(() => this.remove(id), SECONDS * 1000);
    return id;
  }

  remove(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id);
  }

  #add(notice: Omit<Notice, "id">): number {
    const id = ++last;
    // One text is shown once.
    this.list = [...this.list.filter(({ text }) => text !== notice.text), { ...notice, id }];
    return id;
  }
}

export const notices = new NoticeList();
