import type { Page } from "@playwright/test";

const CATEGORIES = ["loading", "blink.user_timing", "devtools.timeline", "latencyInfo", "toplevel"];

interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  /** Microseconds. */
  ts: number;
  /** Microseconds in which the thread had a processor. */
  tdur?: number;
  args: {
    name?: string;
    data?: { navigationId?: string; interactionId?: number; duration?: number; type?: string };
  };
}

/** Records a trace of Chromium while something is done. */
export async function traced(page: Page, work: () => Promise<void>): Promise<TraceEvent[]> {
  const browser = page.context().browser();
  if (!browser) throw new Error("There is no browser.");
  await browser.startTracing(page, { categories: CATEGORIES });
  let trace;
  try {
    await work();
  } finally {
    // Also after a failure: no other trace can begin before.
    trace = await browser.stopTracing();
  }
  return (JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] }).traceEvents;
}

/** Milliseconds from the navigation to the largest contentful paint. */
export function largestContentfulPaint(events: readonly TraceEvent[]): number {
  const paint = events.filter(({ name }) => name === "largestContentfulPaint::Candidate").at(-1);
  const id = paint?.args.data?.navigationId;
  const start = events.find(({ name, args }) => name === "navigationStart" && args.data?.navigationId === id);
  if (!start || !paint) throw new Error("The trace has no largest contentful paint.");
  return (paint.ts - start.ts) / 1000;
}

/** Milliseconds of processor time of the longest task of a page's main thread, whatever else the machine does. */
export function longestTask(events: readonly TraceEvent[]): number {
  const key = ({ pid, tid }: TraceEvent) => `${pid}/${tid}`;
  const threads = new Set(
    events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(key),
  );
  const tasks = events.filter((event) => event.name === "ThreadControllerImpl::RunTask" && threads.has(key(event)));
  const longest = Math.max(0, ...tasks.map(({ tdur = 0 }) => tdur));
  if (longest === 0) throw new Error("The trace has no tasks, or no processor time of theirs.");
  return longest / 1000;
}

/** Milliseconds from each interaction to the next paint, by what it was. */
export function interactions(events: readonly TraceEvent[]): { type: string; duration: number }[] {
  const longest = new Map<number, { type: string; duration: number }>();
  for (const { name, args } of events) {
    const { interactionId = 0, duration = 0, type = "" } = args.data ?? {};
    if (name !== "EventTiming" || interactionId === 0) continue;
    if (duration > (longest.get(interactionId)?.duration ?? -1)) longest.set(interactionId, { type, duration });
  }
  return [...longest.values()];
}

/** Slows the page's processor down. */
export async function slowDown(page: Page, rate: number): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Emulation.setCPUThrottlingRate", { rate });
}

/** Bytes of JavaScript that are in use. */
export async function heapSize(page: Page): Promise<number> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("HeapProfiler.collectGarbage");
  const { usedSize } = await devtools.send("Runtime.getHeapUsage");
  await devtools.detach();
  return usedSize;
}
