import { isHeld } from "./busy";
import { notices } from "./notices.svelte";
import { words } from "./words";

const RELOADED = "tintype.reloaded";

/**
 * After a deployment an open tab misses the chunks of its version. It is reloaded, once for each missing chunk, and
 * never while an upload is going on: then a notice offers it.
 */
export function reloadWhenChunkIsMissing(): void {
  window.addEventListener("vite:preloadError", (event) => {
    event.preventDefault();
    const missing = event.payload.message;
    if (!isHeld() && sessionStorage.getItem(RELOADED) !== missing) {
      sessionStorage.setItem(RELOADED, missing);
      location.reload();
    } else {
      notices.info(words.update, { label: words.common.reload, run: () => location.reload() });
    }
  });
}
