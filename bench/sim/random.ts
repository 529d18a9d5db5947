/** A seeded generator: the same seed gives the same numbers everywhere. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform among 0 to `limit` − 1. */
  below(limit: number): number;
  /** Gamma distributed, with this mean; `cv` is the standard deviation over the mean (1: exponential). */
  gamma(mean: number, cv: number): number;
}

/** Makes a generator (mulberry32). */
export function createRandom(seed: number): Random {
  let state = Math.imul(seed + 1, 0x9e3779b9) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  /** Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); shape of at least 1, scale 1. */
  const gammaFrom1 = (shape: number): number => {
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = normal();
      const v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(1 - next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
    }
  };
  return {
    next,
    below: (limit) => Math.floor(next() * limit),
    gamma: (mean, cv) => {
      const shape = 1 / (cv * cv);
      const unit = shape >= 1 ? gammaFrom1(shape) : gammaFrom1(shape + 1) * (1 - next()) ** (1 / shape);
      return (unit * mean) / shape;
    },
  };
}
