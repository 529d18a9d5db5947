import { PAGE_TOKENS } from '../kernels/step-layout.ts';

// A window is how many positions a row reads, its own included, in the layer that reads most; Infinity: all before it.

/** Stands for a page that its sequence has no more, or never had: no row reads it again. */
export const GONE = -1;

/** The first page that the row of a position, or of any later one, reads. */
export function firstPage(position: number, window: number): number {
  return Math.max(0, Math.floor((position - window + 1) / PAGE_TOKENS));
}

/** How many pages so many rows one after another read and write at most, wherever the first of them lies. */
export function spanPages(rows: number, window: number): number {
  return Math.floor((window + rows - 2) / PAGE_TOKENS) + 2;
}

/** Keys that the rows of `count` positions from `start` on read. */
export function keysOf(start: number, count: number, window: number): number {
  const growing = Math.min(count, Math.max(0, window - start));
  const whole = count - growing;
  return growing * start + (growing * (growing + 1)) / 2 + (whole > 0 ? whole * window : 0);
}
