import type { Ceilings } from './ceilings.ts';

/** What a kernel has to do by the mathematics of it, whatever it issues. */
export interface Demand {
  readonly flops: number;
  /** Every number that it reads or writes, once. */
  readonly bytes: number;
  /** vec4 loads with the best register tile tried. */
  readonly loads: number;
}

/** The least milliseconds that a dispatch takes: it is launched, and then the scarcest of three things decides. */
export function floorOf({ flops, bytes, loads }: Demand, { launch, flops: flopRate, stream, loads: loadRate }: Ceilings): number {
  return launch + Math.max(flops / flopRate, bytes / stream, loads / loadRate);
}

/** Loads of vec4 of f32 behind so many flops of dot products in register tiles of tm × tn: 8·tm·tn/(tm + tn) flops a load. */
export const tileLoads = (flops: number, tm: number, tn: number): number => flops / ((8 * tm * tn) / (tm + tn));
