/** The service's clock, which URLs and tokens expire by. This machine's may be wrong. */

/** Milliseconds by which the service's clock is ahead. */
let ahead = 0;

/** Notes the time at which the service answered: the header `Date`, which answers from a cache do not have anew. */
export function noteServiceTime(date: string | null, now = Date.now()): void {
  const time = Date.parse(date ?? "");
  if (!Number.isNaN(time)) ahead = time - now;
}

/** Milliseconds since 1970 by the service's clock, a second or two behind at most. */
export function serviceTime(now = Date.now()): number {
  return now + ahead;
}
