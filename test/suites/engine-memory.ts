import type { Store } from '../../src/adapters/store.ts';
import type { CoreEngine, Stats } from '../../src/engine/types.ts';
import { randomNumbers } from '../unit/files.ts';
import { LLAMA } from './adapters.ts';
import { idle, openEngine, run, same } from './engine-bench.ts';
import { ADAPTER_FILES, memoryFolder, readFiles, type Files } from './fixtures.ts';
import { check, type Environment } from './suite.ts';

export interface MemoryRun {
  /** Adapters that come onto the GPU in all, and before what lies in memory is first measured. */
  readonly loads: number;
  readonly warmUp: number;
  /** Empty at first. */
  readonly store: Store;
  /** Bytes that the store takes. */
  storeBytes(): Promise<number>;
  /** Bytes in use in this thread, garbage collected before. */
  usedBytes(): Promise<number>;
}

/** What was found, for people. */
export interface MemoryReport {
  readonly loads: number;
  /** Of the thread, at the first measurement and at the end. */
  readonly usedBytes: readonly [before: number, after: number];
  readonly storeBytes: number;
  readonly tiers: Stats['tiers'];
}

const ADAPTERS = 200;
const BUDGETS = { pool: 1 << 20, heap: 1 << 20, disk: 2 << 20 };
/** Of the thread's memory, whatever the number of loads: compiled code, maps that have grown. */
const MOST_GROWTH = 4 << 20;
/** Records and directories beside the bytes of adapters. */
const MOST_BESIDE = 512 << 10;

/** Adapters made from a few: a folder of one's number, made when asked for. */
async function makers(environment: Environment): Promise<(id: string) => ReturnType<typeof memoryFolder>> {
  const kinds: Files[] = [];
  for (const name of ['r8-all', 'r3-qv', 'r16-rslora'])
    kinds.push(await readFiles(environment, `${LLAMA}/adapters/${name}`, ADAPTER_FILES));
  return (id) => {
    const number = Number(id);
    const { 'adapter_model.safetensors': tensors, ...others } = kinds[number % kinds.length]!;
    const own = tensors!.slice();
    own[own.length - 4]! ^= number; // a few bits of one number make it another adapter
    return memoryFolder(id, { ...others, 'adapter_model.safetensors': own });
  };
}

/** Loads until the GPU has taken so many adapters; now and then requests run on some. */
async function loadUntil(engine: CoreEngine, loads: number, random: () => number): Promise<void> {
  const id = (): string => String(Math.floor(ADAPTERS * random() * random())); // some more often than others
  for (;;) {
    for (let i = 0; i < 8; i++) await Promise.all([id(), id(), id()].map((one) => engine.adapters.load(one)));
    await Promise.all([id(), id()].map((adapter) => run(engine, { adapter, maxTokens: 1 })));
    if ((await engine.stats()).tiers.gpu.loads >= loads) return;
  }
}

/**
 * Brings adapters onto the GPU by the thousand, through memory and store of a few megabytes. Throws where anything is beyond its budget
 * at the end: the thread's memory, the store's bytes, or the GPU's.
 */
export async function checkMemory(
  environment: Environment,
  { loads, warmUp, store, storeBytes, usedBytes }: MemoryRun,
): Promise<MemoryReport> {
  const make = await makers(environment);
  await using engine = await openEngine(environment, { store, resolve: make, memory: BUDGETS });
  const random = randomNumbers(5);
  await loadUntil(engine, warmUp, random);
  const [before, { gpuBytes }] = [await usedBytes(), await engine.stats()];
  await loadUntil(engine, loads, random);
  await idle(engine);
  const after = await usedBytes();
  const { gpuBytes: gpuAfter, tiers } = await engine.stats();
  check(after - before <= MOST_GROWTH, () => `the thread's memory grew from ${before} to ${after} bytes in ${loads - warmUp} loads`);
  same(gpuAfter, gpuBytes, 'bytes of all GPU buffers');
  for (const name of ['gpu', 'heap', 'disk'] as const) {
    const { bytes, budget, loads: came, evictions } = tiers[name];
    check(bytes > 0 && bytes <= budget, () => `${name} holds ${bytes} of ${budget} bytes`);
    check(evictions > 0 && came > evictions, () => `${name}: ${came} loads, ${evictions} evictions`);
  }
  same(tiers.disk.failures, 0, 'failures of the store');
  await engine.close();
  const kept = await storeBytes();
  check(kept >= tiers.disk.bytes && kept <= BUDGETS.disk + MOST_BESIDE, () => `the store takes ${kept} bytes for ${tiers.disk.bytes}`);
  return { loads: tiers.gpu.loads, usedBytes: [before, after], storeBytes: kept, tiers };
}
