import PhotoSwipe from "photoswipe";
import "photoswipe/style.css";
import { expiresSoon, type Feed } from "../grid/feed.svelte";
import type { Image } from "../lib/http";
import { words } from "../lib/words";
import { bestPicture } from "./picture";

export interface ViewerOptions {
  feed: Feed;
  index: number;
  /** The modal dialog that holds the view. */
  host: HTMLDialogElement;
  onchange: (image: Image) => void;
  onclosed: () => void;
}

/** How often the URLs of the images in view are looked at. */
const CHECK = 30_000;
/** Images left before more are read. */
const AHEAD = 10;

/** PhotoSwipe over the images of a list. */
export class LargeViewer {
  readonly #feed: Feed;
  readonly #pswp: PhotoSwipe;
  readonly #timer: number;
  #isLocked = false;

  constructor({ feed, index, host, onchange, onclosed }: ViewerOptions) {
    this.#feed = feed;
    const pswp = new PhotoSwipe({
      index,
      appendToEl: host,
      dataSource: [],
      loop: false,
      bgOpacity: 1,
      showHideAnimationType: "fade",
      wheelToZoom: true,
      counter: false,
      // The dialog keeps the focus, and closes by Escape.
      trapFocus: false,
      returnFocus: false,
      escKey: false,
      paddingFn: ({ x }) => {
        const isWide = (x ?? 0) > 700;
        // The caption of a narrow view has its buttons in rows of their own.
        return { top: 56, bottom: isWide ? 88 : 168, left: isWide ? 64 : 0, right: isWide ? 64 : 0 };
      },
      closeTitle: words.common.close,
      zoomTitle: words.viewer.zoom,
      arrowPrevTitle: words.viewer.previous,
      arrowNextTitle: words.viewer.next,
      errorMsg: words.viewer.failed,
    });
    this.#pswp = pswp;
    pswp.addFilter("numItems", () => feed.items.length);
    pswp.addFilter("itemData", (_, at) => {
      const image = feed.items[at];
      const picture = image && bestPicture(image);
      if (!picture) return { html: image ? `<p class="no-picture">${words.image.status[image.status]}</p>` : "" };
      const { src, preview, width, height } = picture;
      return { src, msrc: preview, width, height, alt: image.title };
    });
    pswp.on("keydown", (event) => {
      const target = event.originalEvent.target as Element | null;
      const isElsewhere = target?.closest("dialog") !== host || target?.closest("input, textarea, select");
      if (isElsewhere || this.#isLocked) event.preventDefault();
    });
    pswp.on("pointerDown", (event) => {
      if (this.#isLocked) event.preventDefault();
    });
    pswp.on("afterInit", () => pswp.element?.removeAttribute("role"));
    pswp.on("change", () => {
      const image = this.current;
      if (image) onchange(image);
      this.check();
    });
    // A URL may have expired while the page was asleep.
    pswp.on("loadError", ({ slide }) => {
      const image = feed.items[slide.index];
      if (image) feed.renew(image);
    });
    pswp.on("destroy", () => {
      clearInterval(this.#timer);
      onclosed();
    });
    this.#timer = window.setInterval(() => this.check(), CHECK);
    pswp.init();
  }

  get current(): Image | undefined {
    return this.#feed.items[this.#pswp.currIndex];
  }

  get element(): HTMLElement | undefined {
    return this.#pswp.element;
  }

  /** Renews the URLs of the image in view and its neighbours, and reads on near the end of the list. */
  check(): void {
    const at = this.#pswp.currIndex;
    for (const image of this.#feed.items.slice(Math.max(0, at - 1), at + 2)) {
      if (expiresSoon(image)) this.#feed.renew(image);
    }
    if (at + AHEAD >= this.#feed.items.length && this.#feed.status === "idle") void this.#feed.more();
  }

  /** Takes over changes of the list: the image stays, wherever it is now. False if it is gone. */
  update(id: string, before: readonly Image[]): boolean {
    const { items } = this.#feed;
    const at = items.findIndex((item) => item.id === id);
    if (at < 0) return false;
    const isMoved = at !== this.#pswp.currIndex;
    if (isMoved) this.#pswp.currIndex = this.#pswp.potentialIndex = at;
    for (const index of [at - 1, at, at + 1]) {
      if (index < 0 || index >= items.length) continue;
      if (isMoved || items[index] !== before[index]) this.#pswp.refreshSlideContent(index);
    }
    return true;
  }

  /** While it is locked, keys and fingers neither leave the image nor close the view. */
  lock(isLocked: boolean): void {
    this.#isLocked = isLocked;
    this.#pswp.element?.classList.toggle("locked", isLocked);
  }

  close(): void {
    if (this.#pswp.opener.isOpen) this.#pswp.close();
    // PhotoSwipe does not close while it is still opening.
    else this.#pswp.on("openingAnimationEnd", () => this.#pswp.destroy());
  }

  /** Closes at once. */
  destroy(): void {
    this.#pswp.options.showHideAnimationType = "none";
    this.close();
  }
}
