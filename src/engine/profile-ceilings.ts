import type { Kernel } from '../gpu/kernel.ts';
import { WORKGROUP_SIZE } from '../gpu/kernel.ts';
import { ceilingFma } from '../kernels/ceiling-fma.ts';
import { ceilingLaunch } from '../kernels/ceiling-launch.ts';
import { ceilingLoads } from '../kernels/ceiling-loads.ts';
import { ceilingStream } from '../kernels/ceiling-stream.ts';
import type { Ceilings } from './profile-floor.ts';

/** One way to come near a ceiling: a dispatch, and how much it does. */
export interface Attempt {
  readonly kind: keyof Ceilings;
  readonly label: string;
  readonly kernel: Kernel<'source' | 'sink'>;
  readonly constants: Readonly<Record<string, number>>;
  readonly threads: number;
  /** Of one dispatch: launches, operations, bytes or loads. */
  readonly work: number;
}

/** Where attempts are timed; milliseconds of one dispatch. */
export interface CeilingBed<Ready> {
  prepare(attempt: Attempt): Promise<Ready>;
  time(ready: Ready): Promise<number>;
}

/** The best attempt of a device at each ceiling is found once, and measured again beside what it is a ceiling of. */
export interface CeilingMeter {
  /** The ceilings at this moment. */
  now(): Promise<Ceilings>;
  /** What each attempt reached per millisecond when the best were found. */
  readonly tried: readonly { readonly attempt: Attempt; readonly rate: number; readonly best: boolean }[];
}

/** Threads that fill a device: a few for each core of a processor, and many for each of a GPU. */
const THREADS = { software: [2048], hardware: [1 << 16, 1 << 18] } as const;
const FMA_ROUNDS = 64;
const LOADS = 256;
/** vec4 of a stream that one thread reads at least, and what the kernel's loop takes at once. */
const UNROLL = 8;
/** Samples that an attempt is judged by. */
const SAMPLES = 3;

/** Threads, and by them bytes that a stream can be cut into evenly. */
const threadCounts = (software: boolean): readonly number[] => THREADS[software ? 'software' : 'hardware'];

/** Room that attempts need: in `source` a stream, which is `wanted` bytes rounded up so that every cut is even, and in `sink` a vec4 a thread. */
export function ceilingBytes(software: boolean, wanted: number): { readonly source: number; readonly sink: number } {
  const most = Math.max(...threadCounts(software));
  const grain = most * UNROLL * 16;
  return { source: Math.max(1, Math.ceil(wanted / grain)) * grain, sink: most * 16 };
}

/** All attempts, with streams of so many bytes (see `ceilingBytes`). */
export function attemptsOf(software: boolean, streamBytes: readonly number[]): readonly Attempt[] {
  const launches = [1, 4].map((workgroups): Attempt => {
    const threads = workgroups * WORKGROUP_SIZE;
    return { kind: 'launch', label: `workgroups ${workgroups}`, kernel: ceilingLaunch, constants: {}, threads, work: 1 };
  });
  const counts = threadCounts(software);
  const more = counts.flatMap((threads) => {
    const suffix = counts.length > 1 ? `, ${threads} threads` : '';
    // neighbours on a processor read what lies behind what they read; on a GPU they read next to each other
    const places = software ? [[1, 'own'] as const] : [[threads, 'neighbours'] as const, [1, 'own'] as const];
    const fma = [4, 8].map((chains): Attempt => {
      const work = threads * FMA_ROUNDS * 32 * 8;
      const constants = { COUNT: FMA_ROUNDS, CHAINS: chains };
      return { kind: 'flops', label: `${chains} chains${suffix}`, kernel: ceilingFma, constants, threads, work };
    });
    const streams = streamBytes.flatMap((bytes) =>
      places.map(([step, name]): Attempt => {
        const count = bytes / 16 / threads;
        const constants = { COUNT: count, APART: step === 1 ? count : 1, STEP: step };
        const label = `${name}, ${bytes / 2 ** 20} MiB${suffix}`;
        return { kind: 'stream', label, kernel: ceilingStream, constants, threads, work: bytes };
      }),
    );
    const loads = ([[64, 'own'], [0, 'shared'], ...(software ? [] : [[1, 'neighbours'] as const])] as const).map(
      ([apart, name]): Attempt => {
        const constants = { COUNT: LOADS, APART: apart };
        return { kind: 'loads', label: `${name}${suffix}`, kernel: ceilingLoads, constants, threads, work: threads * LOADS };
      },
    );
    return [...fma, ...streams, ...loads];
  });
  return [...launches, ...more];
}

/** Numbers that a ceiling's kernels compute with: any below 1 will do, but not all the same. */
export function ceilingNumbers(count: number): Float32Array<ArrayBuffer> {
  let state = 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Tries all of them once. Throws what preparing throws. */
export async function openCeilings<Ready>(bed: CeilingBed<Ready>, attempts: readonly Attempt[]): Promise<CeilingMeter> {
  const all: { readonly attempt: Attempt; readonly ready: Ready; readonly rate: number }[] = [];
  for (const attempt of attempts) {
    const ready = await bed.prepare(attempt);
    await bed.time(ready); // what is done once only
    const rates: number[] = [];
    for (let i = 0; i < SAMPLES; i++) rates.push(attempt.work / (await bed.time(ready)));
    all.push({ attempt, ready, rate: rates.sort((a, b) => a - b)[SAMPLES >> 1]! });
  }
  const best = (kind: keyof Ceilings) => all.filter(({ attempt }) => attempt.kind === kind).reduce((a, b) => (b.rate > a.rate ? b : a));
  const chosen = { launch: best('launch'), flops: best('flops'), stream: best('stream'), loads: best('loads') };
  const rate = async (kind: keyof Ceilings): Promise<number> => chosen[kind].attempt.work / (await bed.time(chosen[kind].ready));
  return {
    now: async () => ({
      // the least of three: one that had to wait for a core tells nothing of the device
      launch: Math.min(1 / (await rate('launch')), 1 / (await rate('launch')), 1 / (await rate('launch'))),
      flops: await rate('flops'),
      stream: await rate('stream'),
      loads: await rate('loads'),
    }),
    tried: all.map((each) => ({ attempt: each.attempt, rate: each.rate, best: chosen[each.attempt.kind] === each })),
  };
}
