/** Work that waits until the page has handled input and drawn, such as placeholders of tiles that have just appeared. */

/** Milliseconds that the work may take at a time. */
const SLICE = 8;
/** Milliseconds after which it is done although the page is busy. */
const PATIENCE = 300;

const waiting = new Set<() => void>();
let scheduled = false;

/** Calls `work` when the page is idle. Returns the function that cancels this. */
export function whenIdle(work: () => void): () => void {
  waiting.add(work);
  if (!scheduled) schedule();
  return () => waiting.delete(work);
}

function schedule(): void {
  scheduled = true;
  // Safari has no idle callbacks.
  if ("requestIdleCallback" in window) requestIdleCallback(run, { timeout: PATIENCE });
  else setTimeout(run, SLICE);
}

function run(): void {
  scheduled = false;
  const end = performance.now() + SLICE;
  for (const work of waiting) {
    waiting.delete(work);
    work();
    if (performance.now() > end) break;
  }
  if (waiting.size > 0) schedule();
}
