import { isHeld } from "./busy";
import { notices } from "./notices.svelte";
import { words } from "./words";

const RELOADED = "tintype.reloaded";

/**
 * After a deployment an open tab misses the chunks of its version. It is reloaded, once for each version of the page that
 * misses any, and never while an upload is going on: then a notice offers it. The `import` of a missing chunk resolves to
 * `undefined`.
 */
export function reloadWhenChunkIsMissing(): void {
  // The entry's name contains a hash of the names of all chunks.
  const version = import.meta.url;
  window.addEventListener("vite:preloadError", (event) => {
    event.preventDefault();
    if (!isHeld() && sessionStorage.getItem(RELOADED) !== version) {
      sessionStorage.setItem(RELOADED, version);
      location.reload();
    } else {
      notices.info(words.update, { label: words.common.reload, run: () => location.reload() });
    }
  });
}
