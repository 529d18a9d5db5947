/** vector: an adapter's biases, of which what they differ from the base's is made, for the outputs from `from` to `end` - 1. */
export function biasDelta(
  base: ArrayLike<number>,
  { from, end }: { readonly from: number; readonly end: number },
  vector: Float64Array,
): void {
  for (let n = from; n < end; n++) vector[n] = vector[n]! - base[n]!;
}
