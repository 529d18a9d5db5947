import type { GpuProvider } from '../../src/engine/types.ts';
import { WebLoraError } from '../../src/errors.ts';
import { randomNumbers } from '../unit/files.ts';
import { createBench } from './models.ts';
import { arch, damaged, readFiles, subjects } from './subjects.ts';
import { watchAllocations } from './watch.ts';

export interface MutationRun {
  readonly gpu: GpuProvider;
  /** Dawn's null backend. */
  readonly nothing: GpuProvider;
  /** So many of the good models are built on the device. */
  readonly prepared: number;
  readonly seed: number;
  /** Number of the first mutation; the seed and its number decide it. */
  readonly first: number;
  readonly count: number;
  /** Called before each. */
  readonly onRound?: (round: number) => void;
}

export interface Tally {
  /** How many ended so: `computed`, `built`, or the code of an error. */
  readonly ends: Readonly<Record<string, number>>;
  readonly slowest: { readonly ms: number; readonly what: string };
  /** The largest allocation as a share of what its file allowed. */
  readonly largest: { readonly share: number; readonly what: string };
  /** Mutations that ended otherwise than they may. */
  readonly failures: readonly string[];
}

const MOST_MS = 5000;
/** An answer that does not come is not waited for. */
const PATIENCE_MS = 30_000;

async function within<T>(promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came for ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Damages files one after another; each has to end in one of our errors or in finite logits, soon and without much memory. */
export async function runMutations({ gpu, nothing, prepared, seed, first, count, onRound }: MutationRun): Promise<Tally> {
  const all = await subjects();
  // What lies in the project itself: a kind that is not found must not be passed over in silence.
  for (const name of ['llama', 'llama-tied', 'llama-tied.gguf', 'adapter dora', 'GGUF LoRA']) {
    if (!all.some((subject) => subject.name === name)) throw new Error(`There is no ${name} to be damaged`);
  }
  const allocations = watchAllocations();
  const bench = createBench(gpu, nothing, allocations);
  const base = (of: string): ReturnType<typeof readFiles> => readFiles(arch(`${of}/base`)!);
  const bases = { llama: base('llama'), 'qwen2-bias': arch('qwen2-bias/base') === undefined ? {} : base('qwen2-bias') };
  const ends: Record<string, number> = {};
  const failures: string[] = [];
  let slowest = { ms: 0, what: '' };
  let largest = { share: 0, what: '' };
  const models = all.filter(({ of }) => of === 'model').slice(0, prepared);
  try {
    for (const { source, files } of models) await bench.prepare(source(files), 'device');
    for (const of of new Set(all.map((subject) => subject.of))) if (of !== 'model') await bench.prepare(bases[of], 'nothing');
    // What the first adapter of a kind has compiled is no part of what a damaged one takes.
    for (const { of, source, files } of all) if (of !== 'model') await bench.tryAdapter(bases[of], source(files));
    for (let round = first; round < first + count; round++) {
      onRound?.(round);
      const random = randomNumbers(seed * 1_000_003 + round);
      const subject = all[round % all.length]!;
      const { file, files } = damaged(subject, random);
      const what = `mutation ${round} of seed ${seed} (${subject.name}, ${file})`;
      allocations.largest();
      const start = performance.now();
      const end = await within(
        subject.of === 'model' ? bench.tryModel(subject.source(files)) : bench.tryAdapter(bases[subject.of], subject.source(files)),
      ).catch((reason: unknown) => reason);
      const ms = performance.now() - start;
      const { bytes, what: asked } = allocations.largest();
      const name = typeof end === 'string' ? end : end instanceof WebLoraError ? end.code : 'another error';
      ends[name] = (ends[name] ?? 0) + 1;
      if (name === 'another error') failures.push(`${what}: ${end instanceof Error ? end.stack : String(end)}`);
      if (ms > MOST_MS) failures.push(`${what}: it took ${ms.toFixed(0)} ms`);
      if (ms > slowest.ms) slowest = { ms, what };
      const allowed = 4 * Object.values(files).reduce((sum, { length }) => sum + length, 0) + (1 << 20);
      if (bytes > allowed) failures.push(`${what}: ${asked} took ${bytes} bytes, allowed are ${allowed}`);
      if (bytes / allowed > largest.share) largest = { share: bytes / allowed, what: `${what}: ${asked}` };
    }
  } finally {
    allocations.stop();
    await bench.close();
  }
  return { ends, slowest, largest, failures };
}
