/** cap · tanh(x / cap) of the first `count` numbers of x; what is no number, and infinity, stays what it is. */
export function softcap(cap: number, count: number, x: Float64Array): void {
  for (let i = 0; i < count; i++) if (Number.isFinite(x[i]!)) x[i] = cap * Math.tanh(x[i]! / cap);
}
