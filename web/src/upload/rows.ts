/** Rows above and below the visible ones, so that scrolling shows no gaps. */
const SPARE = 4;
const MOST = 60;

/** Which rows of a list are drawn: `from` inclusive, `to` exclusive. Heights in pixels. */
export function visibleRows(count: number, row: number, top: number, height: number): { from: number; to: number } {
  const from = Math.max(0, Math.min(count - 1, Math.floor(top / row)) - SPARE);
  const to = Math.min(count, from + MOST, Math.ceil((top + height) / row) + SPARE);
  return { from, to: Math.max(from, to) };
}
