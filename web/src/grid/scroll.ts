/** Browsers stop at some height: Firefox at 17.9 million pixels. */
export const MAX_HEIGHT = 8_000_000;

/**
 * Maps the scroll position of an element of limited height to a position in a list that may be higher. Small steps move
 * the list by as much, so that scrolling is smooth; a jump, by the scroll bar or a key, goes to the same share of
 * the list. Where the list is no higher than the limit, both are the same.
 */
export class ScrollMap {
  #total = 0;
  #viewport = 0;
  #real = 0;
  #shift = 0;

  constructor(readonly limit = MAX_HEIGHT) {}

  /** The height that the element has. */
  get height(): number {
    return Math.min(this.#total, this.limit);
  }

  /** The position in the list that is at the viewport's top. */
  get position(): number {
    return this.#real + this.#shift;
  }

  /** The difference between a position in the list and the one in the element. */
  get shift(): number {
    return this.#shift;
  }

  resize(total: number, viewport: number): void {
    this.#total = total;
    this.#viewport = viewport;
    if (total <= this.limit) this.#shift = 0;
  }

  /** Takes the real position after scrolling. */
  scrolled(real: number): void {
    if (real === this.#real) return;
    const step = Math.abs(real - this.#real);
    this.#real = real;
    if (this.#total <= this.limit) return;
    if (step > this.#viewport * 2) this.#shift = real * this.#scale() - real;
    // The first and the last pixel are the list's own.
    const end = this.height - this.#viewport;
    if (real <= 0) this.#shift = 0;
    else if (real >= end) this.#shift = this.#total - this.height;
  }

  /**
   * Goes to a position in the list. Returns the real position to scroll to. It is also called with the current position when
   * scrolling rests, so that small steps never reach the element's end before the list's.
   */
  goTo(position: number): number {
    const end = this.#total - this.#viewport;
    if (this.#total <= this.limit || position < 0) this.#real = position;
    // Below the end there is what follows the list.
    else if (position > end) this.#real = position - (this.#total - this.height);
    else this.#real = Math.round(position / this.#scale());
    this.#shift = position - this.#real;
    return this.#real;
  }

  #scale(): number {
    return (this.#total - this.#viewport) / (this.height - this.#viewport);
  }
}
