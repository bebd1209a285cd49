/** Justified rows: tiles of one height fill the width, each with its image's ratio. */

/** More extreme ratios are cropped, or one panorama would be a row of a few pixels. */
const MIN_RATIO = 0.5;
const MAX_RATIO = 4;
/** How much higher than wanted a row may be. */
const MAX_STRETCH = 1.4;
const MAX_KNOWN_ROWS = 200;

export interface Metrics {
  /** Pixels from the left edge of a row to its right edge. */
  width: number;
  /** The height that rows should have. */
  rowHeight: number;
  gap: number;
}

export interface Tile {
  index: number;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A height of rows that shows about as many tiles on every screen. */
export function rowHeightFor(width: number, viewport: number): number {
  return width < 600 ? 120 : Math.max(190, Math.sqrt((width * viewport) / 60));
}

/** Width divided by height as the grid shows it; a square where it is not known. */
export function ratioOf(image: { width?: number | null; height?: number | null }): number {
  const { width, height } = image;
  if (!width || !height) return 1;
  return Math.min(Math.max(width / height, MIN_RATIO), MAX_RATIO);
}

/**
 * The layout of a list. `ends` is true if nothing follows: else the last row, which more images would change, is held
 * back. All positions are from the grid's top.
 */
export class Rows {
  readonly metrics: Metrics;
  /** The index of the first image of each row, and, at the end, of what is not laid out. */
  readonly starts: number[] = [0];
  /** The top of each row, and, at the end, where the next one will be. */
  readonly tops: number[] = [0];
  readonly #ratios: readonly number[];
  /** The tiles of rows that were asked for: the same objects each time, so that what shows them stays as it is. */
  readonly #tiles: Map<number, Tile[]> = new Map();

  constructor(ratios: readonly number[], metrics: Metrics, ends: boolean, before?: Rows) {
    this.metrics = metrics;
    this.#ratios = ratios;
    if (before?.canGrowTo(ratios, metrics)) {
      this.starts = before.starts;
      this.tops = before.tops;
      this.#tiles = before.#tiles;
      before.#dropOpenRow();
    }
    this.#fill(ends);
  }

  /** True if the rows that are full stay as they are, so that only new ones need work. */
  canGrowTo(ratios: readonly number[], metrics: Metrics): boolean {
    const { width, rowHeight, gap } = this.metrics;
    if (metrics.width !== width || metrics.rowHeight !== rowHeight || metrics.gap !== gap) return false;
    if (ratios.length < this.#ratios.length) return false;
    for (let i = 0; i < this.#ratios.length; i++) if (ratios[i] !== this.#ratios[i]) return false;
    return true;
  }

  get count(): number {
    return this.starts.length - 1;
  }

  /** How many images have a place. */
  get laidOut(): number {
    return this.starts[this.count] ?? 0;
  }

  /** The height of all rows. */
  get height(): number {
    return Math.max(0, (this.tops[this.count] ?? 0) - this.metrics.gap);
  }

  /** The row at a position; the first or the last one for what is outside. */
  rowAt(y: number): number {
    return last(this.tops, y, this.count);
  }

  rowOf(index: number): number {
    return last(this.starts, index, this.count);
  }

  top(row: number): number {
    return this.tops[row] ?? 0;
  }

  tiles(row: number): readonly Tile[] {
    const known = this.#tiles.get(row);
    if (known) return known;
    const tiles = this.#layOut(row);
    if (this.#tiles.size >= MAX_KNOWN_ROWS) this.#tiles.clear();
    this.#tiles.set(row, tiles);
    return tiles;
  }

  #layOut(row: number): Tile[] {
    const first = this.starts[row] ?? 0;
    const end = this.starts[row + 1] ?? first;
    const y = this.top(row);
    const height = this.top(row + 1) - y - this.metrics.gap;
    const tiles: Tile[] = [];
    let x = 0;
    for (let index = first; index < end; index++) {
      const width = (this.#ratios[index] ?? 1) * height;
      tiles.push({ index, x, y, width, height });
      x += width + this.metrics.gap;
    }
    return tiles;
  }

  /** The tile that is nearest to the middle of another, a row further down (1) or up (-1). */
  neighbour(index: number, rows: 1 | -1): number {
    const row = this.rowOf(index);
    const to = row + rows;
    if (to < 0 || to >= this.count) return index;
    const from = this.tiles(row).find((tile) => tile.index === index);
    const middle = from ? from.x + from.width / 2 : 0;
    const distance = (tile: Tile) => Math.abs(tile.x + tile.width / 2 - middle);
    return this.tiles(to).reduce((best, tile) => (distance(tile) < distance(best) ? tile : best)).index;
  }

  /** The last row may be one that was not full. */
  #dropOpenRow(): void {
    if (this.count === 0) return;
    const end = this.tiles(this.count - 1).at(-1);
    if (!end || end.x + end.width > this.metrics.width - 0.5) return;
    this.#tiles.delete(this.count - 1);
    this.starts.pop();
    this.tops.pop();
  }

  #fill(ends: boolean): void {
    const { width, rowHeight, gap } = this.metrics;
    if (width <= 0) return;
    let first = this.laidOut;
    let sum = 0;
    const heightOf = (ratios: number, tiles: number) => (width - gap * (tiles - 1)) / ratios;
    for (let index = first; index < this.#ratios.length; index++) {
      const ratio = this.#ratios[index] ?? 1;
      const tiles = index - first + 1;
      const height = heightOf(sum + ratio, tiles);
      if (height > rowHeight) {
        sum += ratio;
        continue;
      }
      // The row is full: with this image it is lower than wanted, without it higher.
      const without = tiles > 1 ? heightOf(sum, tiles - 1) : Infinity;
      if (without - rowHeight < rowHeight - height && without <= rowHeight * MAX_STRETCH) {
        this.#close(index, without);
        first = index;
        sum = ratio;
        // One that is as wide as a row is a row.
        if (heightOf(sum, 1) <= rowHeight) {
          this.#close(index + 1, heightOf(sum, 1));
          first = index + 1;
          sum = 0;
        }
      } else {
        this.#close(index + 1, height);
        first = index + 1;
        sum = 0;
      }
    }
    if (ends && first < this.#ratios.length) this.#close(this.#ratios.length, rowHeight);
  }

  #close(end: number, height: number): void {
    this.tops.push(this.top(this.count) + height + this.metrics.gap);
    this.starts.push(end);
  }
}

/** The last of the first `count` ascending values that is not above `value`, or the first. */
function last(values: readonly number[], value: number, count: number): number {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((values[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return Math.max(low, 0);
}

/**
 * The rows to render: those in view, and as many around as the limit of tiles allows, at most `margin` pixels away.
 * `end` is behind the last one.
 */
export function windowOf(
  rows: Rows,
  top: number,
  height: number,
  margin: number,
  maxTiles: number,
): { first: number; end: number } {
  if (rows.count === 0) return { first: 0, end: 0 };
  const size = (row: number) => (rows.starts[row + 1] ?? 0) - (rows.starts[row] ?? 0);
  let first = rows.rowAt(top);
  let end = first;
  let tiles = 0;
  const isNear = (row: number) => rows.top(row) < top + height + margin && rows.top(row + 1) > top - margin;
  while (end < rows.count && rows.top(end) < top + height && tiles + size(end) <= maxTiles) tiles += size(end++);
  for (let grew = true; grew;) {
    grew = false;
    if (end < rows.count && isNear(end) && tiles + size(end) <= maxTiles) {
      tiles += size(end++);
      grew = true;
    }
    if (first > 0 && isNear(first - 1) && tiles + size(first - 1) <= maxTiles) {
      tiles += size(--first);
      grew = true;
    }
  }
  return { first, end };
}
