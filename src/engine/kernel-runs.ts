import { WebLoraError } from '../errors.ts';
import { createBuffers, MAP_READ_MODE, type Buffers } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Kernel, Specialisation } from '../gpu/kernel.ts';
import type { Dispatch, Pipelines } from '../gpu/pipelines.ts';
import { record } from '../gpu/recorder.ts';
import { FILTER_STAGES } from '../kernels/sampler-layout.ts';
import type { AttentionWork, KernelSet, SamplerVariant, SplitAttention, Variant } from '../kernels/variants.ts';
import type { AttentionCaseWork } from './kernel-cases.ts';
import type { KernelCase, KernelRole, Words } from './kernel-data.ts';

/** A way to compute a hot kernel: a variant, or several dispatches that make one. */
export interface Candidate {
  readonly role: KernelRole;
  readonly name: string;
  /** Steps of more rows are not given to it. */
  readonly mostRows: number;
  /** Nor steps with a segment of more; undefined: of any. */
  readonly mostSegmentRows?: number;
  /** `any`: without it the others of its set cannot serve every step; `some`: another of its set takes over what it would serve. */
  readonly serves: 'any' | 'some';
  readonly stages: readonly Stage[];
}

/** One dispatch. */
export interface Stage {
  readonly kernel: Kernel;
  readonly threads: (work: never) => number;
  /** The case's buffer that it binds under another name. */
  readonly binds?: Readonly<Record<string, string>>;
}

/** What of a case's specialisation a kernel takes. */
export function specialisationOf({ constants: names, ownConstants = {} }: Kernel, { specialisation }: KernelCase): Specialisation {
  const { constants, libraries } = specialisation;
  const given = names.filter((name) => !(name in ownConstants) && name in constants);
  return { constants: Object.fromEntries(given.map((name) => [name, constants[name]!])), libraries };
}

/** One variant on one case. */
export interface KernelRun {
  readonly candidate: Candidate;
  readonly of: KernelCase;
}

/** What the output holds behind it, or why there is none. */
export type KernelOutcome = { readonly words: Words } | { readonly failure: string };

/** The ways in which a set computes one of its kernels. */
export function candidatesOf(set: KernelSet, role: KernelRole): readonly Candidate[] {
  const single = ({ name, kernel, threads }: Variant<string, never>, serves: Candidate['serves'], mostRows = Infinity): Candidate => ({
    role,
    name,
    mostRows,
    serves,
    stages: [{ kernel, threads }],
  });
  if (role === 'matmul') {
    return set.matmul.map(({ mostRows, variant, serves = mostRows === Infinity ? 'any' : 'some' }) =>
      single(variant, serves, serves === 'any' ? Infinity : mostRows),
    );
  }
  if (role === 'norm') return [single(set.rmsNorm, 'any')];
  if (role === 'sampler') return [samplerCandidate(set.sampler)];
  if (role !== 'attention') {
    const one = role === 'shrink' ? set.shrinkOne : set.expandOne;
    return [single(set[role], 'any'), ...(one ? [{ ...single(one, 'some'), mostSegmentRows: 1 }] : [])];
  }
  const prefill = set.attentionPrefill ? [single(set.attentionPrefill, 'some')] : [];
  return [single(set.attention, 'any'), ...prefill, ...(set.attentionSplit ? [splitCandidate(set.attentionSplit)] : [])];
}

/** Attention in two dispatches, on splits of one tile each. */
function splitCandidate({ split, merge, mostRows }: SplitAttention): Candidate {
  const splitWork = (work: AttentionCaseWork): AttentionWork => ({ ...work, splits: work.tiles });
  return {
    role: 'attention',
    name: split.name,
    mostRows,
    serves: 'some',
    stages: [
      { kernel: split.kernel, threads: (work: AttentionCaseWork) => split.threads(splitWork(work)), binds: { out: 'parts' } },
      { kernel: merge.kernel, threads: (work: AttentionCaseWork) => merge.threads(splitWork(work)) },
    ],
  };
}

/** All that a step with filters runs, and the merge. */
function samplerCandidate({ name, extremes, digit, chunk, merge }: SamplerVariant): Candidate {
  const digits = Object.values(FILTER_STAGES)
    .flat()
    .map((stage): Stage => ({ ...digit, binds: { stages: `stage ${stage}` } }));
  return { role: 'sampler', name, mostRows: Infinity, serves: 'any', stages: [extremes, ...digits, chunk, merge] };
}

const isAskedFor = ({ role, mostRows, mostSegmentRows = Infinity }: Candidate, of: KernelCase): boolean =>
  of.role === role && of.rows <= mostRows && (of.segmentRows ?? 0) <= mostSegmentRows;

/** Each candidate on each case of its kernel that it would be asked for. */
export function runsOf(candidates: readonly Candidate[], cases: readonly KernelCase[]): readonly KernelRun[] {
  return candidates.flatMap((candidate) => cases.filter((of) => isAskedFor(candidate, of)).map((of) => ({ candidate, of })));
}

/**
 * Runs all of them in one submit, each on buffers of its own, and reads their outputs back at once.
 * @throws WebLoraError `device_lost`, `out_of_memory`; what concerns one run is its outcome.
 */
export async function runKernels(gpu: Gpu, pipelines: Pipelines, runs: readonly KernelRun[]): Promise<readonly KernelOutcome[]> {
  const { device } = gpu;
  const buffers = createBuffers(device);
  try {
    const bound = await Promise.all(runs.map((run) => bindRun(device, pipelines, buffers, run)));
    await buffers.settled();
    const total = bound.reduce((sum, each) => sum + ('output' in each ? each.output.size : 0), 0);
    const readback = buffers.readback('outputs of checked kernels', total);
    await buffers.settled();
    device.pushErrorScope('validation');
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const each of bound) if ('output' in each) for (const { dispatch, threads } of each.dispatches) record(pass, dispatch, threads);
    pass.end();
    let at = 0;
    for (const each of bound) {
      if (!('output' in each)) continue;
      encoder.copyBufferToBuffer(each.output, 0, readback, at, each.output.size);
      at += each.output.size;
    }
    device.queue.submit([encoder.finish()]);
    const error = await device.popErrorScope();
    if (error) return runs.map(() => ({ failure: `the device refused the step: ${error.message}` }));
    await readback.mapAsync(MAP_READ_MODE);
    const bytes = readback.getMappedRange().slice(0);
    at = 0;
    return bound.map((each, i): KernelOutcome => {
      if (!('output' in each)) return each;
      const words = new Uint32Array(bytes, at, runs[i]!.of.buffers[runs[i]!.of.output]!.length).slice();
      at += each.output.size;
      return { words };
    });
  } catch (cause) {
    const failure = gpu.failure();
    if (failure) throw failure;
    if (cause instanceof WebLoraError) throw cause;
    throw new WebLoraError('device_lost', `The device did not finish the check of its kernels: ${String(cause)}`, { cause });
  } finally {
    buffers.destroy();
  }
}

/** A run that can be recorded. */
export interface BoundRun {
  readonly dispatches: readonly { readonly dispatch: Dispatch; readonly threads: number }[];
  readonly output: GPUBuffer;
}

/** Compiles and binds a run's stages on buffers that hold what the case says. */
export async function bindRun(
  device: GPUDevice,
  pipelines: Pipelines,
  buffers: Buffers,
  { candidate: { name, stages }, of }: KernelRun,
): Promise<BoundRun | { readonly failure: string }> {
  const made = new Map<string, GPUBuffer>();
  const bufferOf = (binding: string): GPUBuffer => {
    const words = of.buffers[binding]!;
    const buffer = made.get(binding) ?? buffers.storage(`${name}: ${binding}`, words.byteLength);
    if (!made.has(binding)) device.queue.writeBuffer(buffer, 0, words);
    made.set(binding, buffer);
    return buffer;
  };
  try {
    const dispatches: { dispatch: Dispatch; threads: number }[] = [];
    for (const { kernel, threads, binds = {} } of stages) {
      const pipeline = await pipelines.get(kernel, specialisationOf(kernel, of));
      const bound = Object.fromEntries(Object.keys(kernel.buffers).map((binding) => [binding, bufferOf(binds[binding] ?? binding)]));
      device.pushErrorScope('validation');
      const dispatch = pipelines.bind(pipeline, bound);
      const error = await device.popErrorScope();
      if (error) return { failure: error.message };
      dispatches.push({ dispatch, threads: threads(of.work as never) });
    }
    return { dispatches, output: bufferOf(of.output) };
  } catch (error) {
    if (error instanceof WebLoraError && error.code !== 'shader_invalid') throw error;
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * How far an output may be from the twin's, of the row's largest number. All inputs are exact in f16, so that sums in another order
 * differ by some 1e-6 wherever they were staged, and exponentials by some 1e-5; a wrong index is off by about 1.
 */
export const TOLERANCE = 1e-3;

/** Where an output is not what the twin left, in words; undefined where it is. */
export function differenceOf(
  { rowLength, output, holds }: Pick<KernelCase, 'rowLength' | 'output' | 'holds'>,
  words: Words,
  twin: Words,
): string | undefined {
  if (holds === 'words') {
    const at = twin.findIndex((word, i) => words[i] !== word);
    return at < 0 ? undefined : `${output} in row ${at} is ${words[at]}; expected ${twin[at]}`;
  }
  const found = new Float32Array(words.buffer, words.byteOffset, words.length);
  const wanted = new Float32Array(twin.buffer, twin.byteOffset, twin.length);
  for (let row = 0; row < twin.length; row += rowLength) {
    const end = Math.min(row + rowLength, twin.length);
    let largest = 0;
    for (let i = row; i < end; i++) if (!Number.isNaN(wanted[i]!)) largest = Math.max(largest, Math.abs(wanted[i]!));
    for (let i = row; i < end; i++) {
      const isPoison = Number.isNaN(wanted[i]!); // nobody was to write there
      if (isPoison ? words[i] === twin[i] : Math.abs(found[i]! - wanted[i]!) <= TOLERANCE * largest) continue;
      const expected = isPoison ? 'it was not to write there' : `expected ${wanted[i]}`;
      return `${output} in row ${row / rowLength}, column ${i - row} is ${found[i]}; ${expected}`;
    }
  }
  return undefined;
}
