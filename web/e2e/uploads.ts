import type { Page } from "@playwright/test";
import type { Photo } from "./photos";

export const panel = (page: Page) => page.getByRole("region", { name: "Uploads" });
export const heading = (page: Page) => panel(page).getByRole("heading");
export const row = (page: Page, title: string) => panel(page).getByRole("listitem").filter({ hasText: title });

export async function choose(page: Page, files: Photo[] | string[]): Promise<void> {
  await page.getByLabel("Choose files").setInputFiles(files);
}

/** Drops a folder of this machine on the page, as a person does. */
export async function drop(page: Page, folder: string): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  for (const type of ["dragEnter", "dragOver", "drop"] as const) {
    const data = { items: [], files: [folder], dragOperationsMask: 1 };
    await devtools.send("Input.dispatchDragEvent", { type, x: 100, y: 300, data });
  }
}

/** Holds back requests to a URL until they are released. `isAsked` resolves at the first one. */
export async function held(page: Page, url: string): Promise<{ isAsked: Promise<void>; release: () => void }> {
  let release: () => void = () => undefined;
  let ask: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const isAsked = new Promise<void>((resolve) => (ask = resolve));
  await page.route(url, async (route) => {
    ask();
    await released;
    await route.continue();
  });
  return { isAsked, release };
}

/** Holds back what is sent to the bucket until it is released. */
export async function holdPuts(page: Page): Promise<() => void> {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/*", async (route) => {
    if (route.request().method() !== "PUT") return route.fallback();
    await released;
    await route.continue().catch(() => undefined);
  });
  return release;
}

interface Puts {
  started: number;
  /** Of the bucket's answers that have not come. */
  now: number;
  most: number;
}

function countPuts(): void {
  const puts: Puts = { started: 0, now: 0, most: 0 };
  Object.assign(window, { puts });
  // The class that this page itself uses.
  class Counted extends XMLHttpRequest {
    #isPut = false;
    override open(method: string, url: string | URL): void {
      this.#isPut = method === "PUT";
      super.open(method, url);
    }
    override send(body?: XMLHttpRequestBodyInit): void {
      if (this.#isPut) {
        puts.started += 1;
        puts.most = Math.max(puts.most, ++puts.now);
        this.addEventListener("readystatechange", () => {
          if (this.readyState === XMLHttpRequest.DONE) puts.now -= 1;
        });
      }
      super.send(body);
    }
  }
  window.XMLHttpRequest = Counted;
}

/**
 * Counts what the page sends to the bucket by XMLHttpRequest, in the page itself: Playwright hears of a request's end
 * only after the page may have begun the next one. Returns the function that tells the counts of the document that is shown.
 */
export async function watchPuts(page: Page): Promise<() => Promise<Puts>> {
  await page.addInitScript(countPuts);
  await page.evaluate(countPuts);
  return () => page.evaluate(() => (window as unknown as { puts: Puts }).puts);
}

/** Notes each text that the panel Uploads shows, however short a time. Returns the function that tells them. */
export async function recordPanel(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const shown = new Set<string>();
    Object.assign(window, { shown });
    new MutationObserver(() => {
      const text = document.querySelector("section[aria-label=Uploads]")?.textContent;
      if (text) shown.add(text);
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  return () => page.evaluate(() => [...(window as unknown as { shown: Set<string> }).shown]);
}
