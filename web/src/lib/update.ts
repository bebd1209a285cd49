import { isHeld } from "./busy";
import { notices } from "./notices.svelte";
import { words } from "./words";

const RELOADED = "tintype.reloaded";

/**
 * After a deployment an open tab misses the chunks of its version. It is reloaded, once for each version of the page that
 * misses any, and never while an upload is going on: then a notice offers it. Without a connection chunks are missing,
 * too: a reload would show the browser's error in place of the page. The `import` of a missing chunk resolves to
 * `undefined`.
 */
export function reloadWhenChunkIsMissing(): void {
  // The entry's name contains a hash of the names of all chunks.
  const version = import.meta.url;
  window.addEventListener("vite:preloadError", (event) => {
    event.preventDefault();
    void meet(version);
  });
}

async function meet(version: string): Promise<void> {
  if (!(await isReachable())) return void notices.error(words.errors.offline);
  if (!isHeld() && sessionStorage.getItem(RELOADED) !== version) {
    sessionStorage.setItem(RELOADED, version);
    location.reload();
  } else {
    notices.info(words.update, { label: words.common.reload, run: () => location.reload() });
  }
}

/** Whether the service gives the page at the moment. */
export async function isReachable(): Promise<boolean> {
  try {
    await fetch("/", { cache: "no-store" });
    return true;
  } catch {
    return false;
  }
}
