/** What a device can do at most, as found in this process. */
export interface Ceilings {
  /** Milliseconds of a dispatch of one workgroup that does nothing, in the middle of a pass. */
  readonly launch: number;
  /** Floating point operations per millisecond; a multiply-add is two. */
  readonly flops: number;
  /** Bytes read per millisecond. */
  readonly stream: number;
  /** Loads of a vec4 per millisecond that its threads issue. */
  readonly loads: number;
}

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
