/** The middle of some numbers, or the mean of the two in the middle. Throws `RangeError` where there are none. */
export function median(values: readonly number[]): number {
  const sorted = sort(values);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** The smallest of the numbers that at least this share of them does not exceed; `share` from 0 to 1. Throws `RangeError` where there are none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = sort(values);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

function sort(values: readonly number[]): number[] {
  if (values.length === 0) throw new RangeError('Nothing was measured');
  return [...values].sort((a, b) => a - b);
}

/** Ratios of some pairs: a gate is held against their median. */
export interface Ratios {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly pairs: number;
}

/** How many times `of` is `to`, in pairs whose two were measured right after one another. */
export function ratios(pairs: readonly { readonly of: number; readonly to: number }[]): Ratios {
  const values = pairs.map(({ of, to }) => of / to);
  return { median: median(values), least: Math.min(...values), most: Math.max(...values), pairs: values.length };
}
