import { WORKGROUP_SIZE } from '../../src/gpu/kernel.ts';
import { uniform, bits } from '../../test/suites/kernel-harness.ts';
import { median } from '../pairs.ts';
import type { Row } from '../report.ts';
import type { Bed, Timed } from './bed.ts';
import { empty, fma, loads, stream, type CeilingKernel } from './variants/ceilings.ts';

/** What this device can do at most, as found in this process. */
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

interface Formulation {
  readonly kind: keyof Ceilings;
  readonly label: string;
  readonly timed: Timed;
  /** Of one dispatch. */
  readonly work: number;
}

const THREADS = 2048;
const STREAM_BYTES = 32 << 20;
const SMALL_BYTES = 4 << 20;

/** Several ways to come near each ceiling; the best one of a device is found once and measured again beside what it is a ceiling of. */
export interface CeilingMeter {
  /** The ceilings at this moment. */
  now(): Promise<Ceilings>;
  readonly rows: readonly Row[];
}

export async function openCeilings(bed: Bed): Promise<CeilingMeter> {
  const formulations = await prepareAll(bed);
  const found = new Map<Formulation, number>();
  for (const formulation of formulations) {
    await bed.time(formulation.timed);
    const rates: number[] = [];
    for (let i = 0; i < 3; i++) rates.push(formulation.work / (await bed.time(formulation.timed)));
    found.set(formulation, median(rates));
  }
  const best = (kind: keyof Ceilings): Formulation =>
    formulations.filter((each) => each.kind === kind).reduce((a, b) => (found.get(b)! > found.get(a)! ? b : a));
  const chosen = { launch: best('launch'), flops: best('flops'), stream: best('stream'), loads: best('loads') };
  const rate = async ({ work, timed }: Formulation): Promise<number> => work / (await bed.time(timed));
  return {
    now: async () => ({
      // the least of three: one that had to wait for a core tells nothing of the device
      launch: Math.min(1 / (await rate(chosen.launch)), 1 / (await rate(chosen.launch)), 1 / (await rate(chosen.launch))),
      flops: await rate(chosen.flops),
      stream: await rate(chosen.stream),
      loads: await rate(chosen.loads),
    }),
    rows: formulations.map((formulation) => rowOf(formulation, found.get(formulation)!, formulation === chosen[formulation.kind])),
  };
}

function rowOf({ kind, label }: Formulation, rate: number, isBest: boolean): Row {
  const name = `ceilings/${kind}: ${label}`;
  const note = isBest ? 'the ceiling' : '';
  if (kind === 'launch') return { name, value: 1000 / rate, unit: 'us', note };
  if (kind === 'loads') return { name, value: rate / 1e3, unit: 'M vec4/s', note };
  return { name, value: rate / 1e6, unit: kind === 'flops' ? 'GFLOP/s' : 'GB/s', note };
}

async function prepareAll(bed: Bed): Promise<Formulation[]> {
  const random = uniform(1);
  const source = bed.buffer('stream', bits(random(STREAM_BYTES / 4, 1)));
  const sink = bed.buffer('sink', new Uint32Array(THREADS * 4 * 16));
  const made: Formulation[] = [];
  const add = async (kind: keyof Ceilings, kernel: CeilingKernel, threads: number, count: number, work: number, label = kernel.label) => {
    const timed = await bed.prepare({ kernel, constants: { COUNT: count }, libraries: [], buffers: { source, sink }, threads });
    made.push({ kind, label, timed, work });
  };
  const tiny = { source: bed.buffer('tiny', new Uint32Array(64)), sink: bed.buffer('tiny', new Uint32Array(64)) };
  for (const workgroups of [1, 4]) {
    const threads = workgroups * WORKGROUP_SIZE;
    const timed = await bed.prepare({ kernel: empty, constants: { COUNT: 1 }, libraries: [], buffers: tiny, threads });
    made.push({ kind: 'launch', label: `workgroups ${workgroups}`, timed, work: 1 });
  }
  const rounds = 64;
  for (const [accumulators, unroll] of [
    [2, 16],
    [4, 8],
    [8, 4],
    [1, 16],
  ] as const) {
    await add('flops', fma(accumulators, unroll), THREADS, rounds, THREADS * rounds * accumulators * unroll * 8);
  }
  for (const [bytes, name] of [
    [STREAM_BYTES, '32 MiB'],
    [SMALL_BYTES, '4 MiB'],
  ] as const) {
    for (const [unroll, workgroup] of [
      [8, 64],
      [4, 16],
    ] as const) {
      const kernel = stream(unroll, workgroup);
      await add('stream', kernel, THREADS, bytes / 16 / THREADS, bytes, `${kernel.label}, ${name}`);
    }
  }
  for (const unroll of [4, 8]) {
    for (const places of ['own', 'shared'] as const) await add('loads', loads(unroll, places), THREADS, 256, THREADS * 256);
  }
  return made;
}
