/** Steps in flight at once, at most. */
export const MOST_DEPTH = 8;

/** While no step's time is known: one runs, one waits. */
const FIRST_DEPTH = 2;

/**
 * How many steps to keep in flight so that the device does not wait for results on their way back: one that runs, and those whose
 * results travel meanwhile. From 1 to 8. Both times in milliseconds; 0 for `stepMs` where none is known.
 */
export function ringDepth(readbackMs: number, stepMs: number): number {
  const travelling = Math.ceil(readbackMs / stepMs);
  if (!(stepMs > 0) || !(travelling >= 0)) return FIRST_DEPTH;
  return Math.min(MOST_DEPTH, Math.max(1, 1 + travelling));
}
