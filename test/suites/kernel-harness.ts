import { createBuffers, MAP_READ_MODE, type Buffers } from '../../src/gpu/buffers.ts';
import { openGpu, type Gpu } from '../../src/gpu/device.ts';
import type { Constant, Kernel } from '../../src/gpu/kernel.ts';
import { createPipelines, type Bound, type Pipelines } from '../../src/gpu/pipelines.ts';
import { record } from '../../src/gpu/recorder.ts';
import { toF16, toF32, type FloatDtype } from '../../src/formats/half.ts';
import type { GpuProvider } from '../../src/engine/types.ts';
import { check } from './suite.ts';

/** What a buffer holds: u32, or the bits of f32, or of pairs of f16. */
export type Words = Uint32Array<ArrayBuffer>;
export type Floats = Float32Array<ArrayBuffer>;

/** NaN as f32, as f16 and as bf16; what a kernel copies out of an input differs from what it leaves alone in an output. */
export const INPUT_POISON = 0x7fc17fc1;
export const OUTPUT_POISON = 0x7fd27fd2;

/** Rows that batches are tested with: around the 4 rows of a tile and of a segment, and well above. */
export const ROW_COUNTS: readonly number[] = [1, 2, 3, 4, 5, 7, 9, 33];

/** Poison behind the end of every buffer. */
const GUARD_WORDS = 64;

export interface Launch<Binding extends string> {
  readonly kernel: Kernel<Binding>;
  readonly constants: Readonly<Record<string, Constant>>;
  readonly libraries: readonly string[];
  /** What the buffers hold before. */
  readonly buffers: Readonly<Record<Binding, Words>>;
  readonly threads: number;
}

/** A device on which single kernels run. */
export interface Harness {
  /** Runs one dispatch; what every buffer holds afterwards. Throws where a guard was written or the GPU reported an error. */
  run<Binding extends string>(launch: Launch<Binding>): Promise<Record<Binding, Words>>;
}

export async function openHarness(provider: GpuProvider): Promise<Harness> {
  const gpu = await openGpu(provider);
  const buffers = createBuffers(gpu.device);
  const pipelines = createPipelines(gpu.device, buffers);
  return { run: (launch) => runLaunch(gpu, buffers, pipelines, launch) };
}

async function runLaunch<Binding extends string>(
  gpu: Gpu,
  buffers: Buffers,
  pipelines: Pipelines,
  { kernel, constants, libraries, buffers: contents, threads }: Launch<Binding>,
): Promise<Record<Binding, Words>> {
  const { device } = gpu;
  const names = Object.keys(kernel.buffers) as Binding[];
  const pipeline = await pipelines.get(kernel, { constants, libraries });
  const made = names.map((name) => {
    const guarded = new Uint32Array(contents[name].length + GUARD_WORDS).fill(poisonOf(kernel, name));
    guarded.set(contents[name]);
    const bound = { buffer: buffers.storage(name, guarded.byteLength), offset: 0, size: guarded.byteLength };
    device.queue.writeBuffer(bound.buffer, 0, guarded);
    return bound;
  });
  const total = made.reduce((sum, { size }) => sum + size, 0);
  const readback = buffers.readback('kernel outputs', total);
  const bound = Object.fromEntries(names.map((name, i) => [name, made[i]!])) as unknown as Record<Binding, Bound>;
  // no await before the scope is popped: launches run at the same time
  device.pushErrorScope('validation');
  const dispatch = pipelines.bind(pipeline, bound);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  record(pass, dispatch, threads);
  pass.end();
  let at = 0;
  for (const { buffer, size } of made) {
    encoder.copyBufferToBuffer(buffer, 0, readback, at, size);
    at += size;
  }
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  check(error === null, () => `${kernel.label}: ${error?.message}`);
  await readback.mapAsync(MAP_READ_MODE);
  const words = new Uint32Array(readback.getMappedRange().slice(0));
  for (const buffer of [readback, ...made.map((each) => each.buffer)]) buffers.drop(buffer);
  check(gpu.failure() === undefined, () => `${kernel.label}: ${gpu.failure()?.message}`);
  return split(kernel, contents, names, words);
}

function poisonOf<Binding extends string>(kernel: Kernel<Binding>, name: Binding): number {
  return kernel.buffers[name] === 'read' ? INPUT_POISON : OUTPUT_POISON;
}

function split<Binding extends string>(
  kernel: Kernel<Binding>,
  contents: Readonly<Record<Binding, Words>>,
  names: readonly Binding[],
  words: Words,
): Record<Binding, Words> {
  let at = 0;
  const results = names.map((name) => {
    const { length } = contents[name];
    const guard = words.subarray(at + length, at + length + GUARD_WORDS);
    check(
      guard.every((word) => word === poisonOf(kernel, name)),
      () => `${kernel.label}: wrote behind the end of ${name}`,
    );
    const result = words.slice(at, at + length);
    at += length + GUARD_WORDS;
    return [name, result] as const;
  });
  return Object.fromEntries(results) as Record<Binding, Words>;
}

/** The bits of f32 numbers. */
export function bits(values: Floats): Words {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** Numbers in storage of a type. Bits of f16 are exact only for values that `rounded` has rounded. */
export function stored(values: Floats, type: FloatDtype): Words {
  if (type === 'F32') return bits(values);
  const halves = type === 'F16' ? toF16(values) : Uint16Array.from(bits(values), (word) => word >>> 16);
  return new Uint32Array(halves.buffer);
}

/** Stored numbers as f32. */
export function loaded(words: Words, type: FloatDtype): Floats {
  return toF32(new Uint8Array(words.buffer, words.byteOffset, words.byteLength), type);
}

/** The nearest numbers (bf16: the next towards zero) that a type can hold. */
export function rounded(values: Floats, type: FloatDtype): Floats {
  return loaded(stored(values, type), type);
}

/** `words` words of poison. */
export function poison(words: number, kind: 'input' | 'output'): Words {
  return new Uint32Array(words).fill(kind === 'input' ? INPUT_POISON : OUTPUT_POISON);
}

export interface Expectation {
  readonly what: string;
  readonly type: FloatDtype;
  readonly before: Words;
  readonly after: Words;
  /** What a twin made of `before`. */
  readonly expected: Float64Array;
  /** Numbers of one row: an error is measured against the row's largest. */
  readonly rowLength: number;
  readonly tolerance: number;
  /** An error is measured against at least this magnitude; default 0. */
  readonly floor?: number;
}

/** Throws where a number is off by more than the tolerance, or where the twin left a number alone and the kernel did not. */
export function checkClose({ what, type, before, after, expected, rowLength, tolerance, floor = 0 }: Expectation): void {
  const was = loaded(before, type);
  const now = loaded(after, type);
  const wasBits = type === 'F32' ? before : new Uint16Array(before.buffer, before.byteOffset, was.length);
  const nowBits = type === 'F32' ? after : new Uint16Array(after.buffer, after.byteOffset, now.length);
  check(expected.length === was.length, () => `${what}: the twin has ${expected.length} numbers, the kernel ${was.length}`);
  for (let row = 0; row < expected.length; row += rowLength) {
    let largest = floor;
    for (let i = row; i < row + rowLength && i < expected.length; i++) {
      if (!Number.isNaN(expected[i]!)) largest = Math.max(largest, Math.abs(expected[i]!));
    }
    for (let i = row; i < row + rowLength && i < expected.length; i++) {
      const where = (): string => `${what}: row ${row / rowLength}, column ${i - row}`;
      if (Object.is(expected[i]!, was[i]!)) {
        check(wasBits[i] === nowBits[i], () => `${where()}: was to stay ${hex(wasBits[i]!)}, but became ${hex(nowBits[i]!)} (${now[i]})`);
      } else {
        const error = Math.abs(now[i]! - expected[i]!);
        check(error <= tolerance * largest, () => `${where()}: ${now[i]}, expected ${expected[i]} (off by ${error / largest})`);
      }
    }
  }
}

function hex(word: number): string {
  return `0x${word.toString(16)}`;
}

/** Throws where words differ. */
export function checkSame(what: string, found: ArrayLike<number>, expected: ArrayLike<number>): void {
  check(found.length === expected.length, () => `${what}: ${found.length} words, expected ${expected.length}`);
  for (let i = 0; i < expected.length; i++) {
    check(found[i] === expected[i], () => `${what}: word ${i} is ${hex(found[i]!)}, expected ${hex(expected[i]!)}`);
  }
}

/** Uniform numbers from -size to size, the same for the same seed (mulberry32). */
export function uniform(seed: number): (count: number, size: number) => Floats {
  let state = seed;
  return (count, size) => {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      state = (state + 0x6d2b79f5) | 0;
      let word = Math.imul(state ^ (state >>> 15), state | 1);
      word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
      values[i] = (((word ^ (word >>> 14)) >>> 0) / 2 ** 31 - 1) * size;
    }
    return values;
  };
}

/** Runs something for every number of rows; the launches overlap. */
export async function forEachRowCount(run: (rows: number) => Promise<void>): Promise<void> {
  await Promise.all(ROW_COUNTS.map(run));
}
