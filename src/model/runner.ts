import { OUTER_TRAITS, WHOLE_TRAITS } from '../adapters/sites.ts';
import { loadPart } from '../errors.ts';
import { requireBindable, type Buffers } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createReadbackRing, type ReadbackRing } from '../gpu/readback.ts';
import { INERT, MAX_PARTS, POISONED } from '../kernels/step-layout.ts';
import { FEWER_ROWS, type Activations } from './activations.ts';
import { createAdjustTable } from './adjust.ts';
import type { ModelConfig } from './config.ts';
import { buildForward } from './forward.ts';
import { recordForward, type ForwardParts, type Launch, type WholeMatrices } from './launch.ts';
import { createPlanner, type Plan, type StepItem } from './plan.ts';
import type { ModelShape } from './shape.ts';

/** What one item of a step gave back. */
export interface ItemOutput {
  /** The sampled token; `poisoned`: the row's logits were not finite; `inert`: an end token came before; undefined: it did not sample. */
  readonly token: number | 'poisoned' | 'inert' | undefined;
  /** Raw logits of its logit rows, where it asked for them: `[logitRows][vocabulary]`. */
  readonly logits: readonly Float32Array[];
}

/** A step that the device was told of: its launches, as they are until something grows. */
export interface PreparedStep {
  readonly plan: Plan;
  readonly launches: readonly Launch[];
}

/** What runs steps, and grows for what they need. */
export interface Runner {
  readonly adjustRows: number;
  partsPerRow(): number;
  reserveRank(rank4: number): Promise<void>;
  reserveTraits(traits: number): Promise<void>;
  wholes(): WholeMatrices | undefined;
  reserveAdjust(): Promise<void>;
  setAdjust(slot: number, prompt: readonly number[], generated: readonly number[], bias: Readonly<Record<number, number>>): void;
  prepare(items: readonly StepItem[]): PreparedStep;
  submit(items: readonly StepItem[]): Promise<readonly ItemOutput[]>;
}

export interface RunnerSettings {
  readonly sequences: number;
  readonly depth: number;
  readonly nudge?: 'none' | 'submit';
}

/** All but what grows. */
type GrowingParts = Omit<ForwardParts, 'v' | 'adjust' | 'traits' | 'wholes'>;

/** Builds the launches of a step and what they grow into. Throws what compiling and allocating throw. */
export async function createRunner(parts: GrowingParts, gpu: Gpu, buffers: Buffers, settings: RunnerSettings): Promise<Runner> {
  const { activations: a, config, layout } = parts;
  const { device } = gpu;
  const plan = createPlanner(layout, parts.kernels.fullRows);
  const ring = createReadbackRing(buffers, 'read-back', settings.depth + 1, layout.limits.samplers * 4, {
    nudge: settings.nudge ?? 'none',
    queue: device.queue,
  });
  const table = createAdjustTable(device, config.vocabSize, settings.sequences);
  const grown = await createGrown(parts, device, buffers, table.bytes);
  const adjustOf = (slot: number): GPUBuffer => {
    const adjust = grown.adjust();
    if (!adjust) throw new RangeError('There is no adjust table yet; reserveAdjust() makes it');
    if (slot >= table.rows) throw new RangeError(`Slot ${slot} has no row in an adjust table of ${table.rows}`);
    return adjust;
  };

  const prepare = (items: readonly StepItem[]): PreparedStep => {
    for (const { slot, sampler } of items) if (sampler?.adjusts === 'yes') adjustOf(slot);
    const step = plan(items);
    if (step.vRows * step.rankQuads > grown.vQuads()) {
      throw new RangeError(`A step of ${step.vRows} rows and parts of rank ${step.rankQuads * 4} is more than one binding holds`);
    }
    device.queue.writeBuffer(a.step, 0, step.words);
    return { plan: step, launches: grown.launches() };
  };

  return {
    adjustRows: table.rows,
    partsPerRow: () => Math.min(MAX_PARTS, Math.floor(grown.vRows() / layout.limits.rows)),
    reserveRank: grown.reserveRank,
    reserveTraits: grown.reserveTraits,
    wholes: grown.wholes,
    reserveAdjust: grown.reserveAdjust,
    setAdjust: (slot, prompt, generated, bias) => table.write(adjustOf(slot), slot, prompt, generated, bias),
    prepare,
    submit: (items) => {
      const { plan: step, launches } = prepare(items);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      recordForward(pass, launches, step);
      pass.end();
      const back = copyResults(encoder, a, step, ring);
      device.queue.submit([encoder.finish()]);
      return collect(gpu, ring, back, step, items, a, config);
    },
  };
}

/** Buffers that are small until something needs them, and the launches that bind them. */
interface Grown {
  launches(): readonly Launch[];
  /** Rows of v for the widest adapter so far. */
  vRows(): number;
  /** Rows of v times quads of their ranks that v has room for. */
  vQuads(): number;
  /** The adjust table; undefined before `reserveAdjust`. */
  adjust(): GPUBuffer | undefined;
  reserveRank(rank4: number): Promise<void>;
  /** Builds what adapters with these bits of `TRAITS` need. */
  reserveTraits(traits: number): Promise<void>;
  /** Undefined before adapters with any are reserved. */
  wholes(): WholeMatrices | undefined;
  reserveAdjust(): Promise<void>;
}

/** Ranks that v has room for at first: wider adapters make it grow when they are loaded. */
const FIRST_RANK4 = 64;

async function createGrown(parts: GrowingParts, device: GPUDevice, buffers: Buffers, adjustBytes: number): Promise<Grown> {
  const mostBytes = device.limits.maxStorageBufferBindingSize;
  let rank4 = FIRST_RANK4;
  const allocateV = (wanted: number): Promise<GPUBuffer> => {
    const bytes = vRows(parts, wanted, mostBytes) * vRowBytes(parts.shape, wanted);
    requireBindable(device, `A step of ${parts.layout.limits.rows} rows under adapters of rank ${wanted}`, bytes, FEWER_ROWS);
    return buffers.allocate('v', bytes);
  };
  let v = await allocateV(rank4);
  let adjust = await buffers.allocate('no adjust table', 256);
  let reserved = false;
  let traits = 0;
  let wholes: WholeMatrices | undefined;
  const grownParts = (): ForwardParts => ({ ...parts, v, adjust, traits, wholes });
  let launches: readonly Launch[] = await buildForward(grownParts());

  const growRank = async (wanted: number): Promise<void> => {
    if (wanted <= rank4) return;
    const wider = await allocateV(wanted);
    launches = await buildForward({ ...grownParts(), v: wider });
    buffers.drop(v); // steps in flight keep it alive until they are done
    v = wider;
    rank4 = wanted;
  };
  const growTraits = async (wanted: number): Promise<void> => {
    if ((wanted & ~traits) === 0) return;
    if ((wanted & OUTER_TRAITS) !== 0) await parts.pool.reserveOuter();
    if ((wanted & WHOLE_TRAITS) !== 0 && !wholes) {
      const { createWholeMatrices } = await loadPart(() => import('./whole.ts'));
      wholes = await createWholeMatrices({ ...parts, device, buffers }, parts.pool.slots);
    }
    launches = await buildForward({ ...grownParts(), traits: traits | wanted });
    traits |= wanted;
  };
  const growAdjust = async (): Promise<void> => {
    if (reserved) return;
    const table = await buffers.allocate('adjust table', adjustBytes);
    launches = await buildForward({ ...grownParts(), adjust: table });
    buffers.drop(adjust);
    adjust = table;
    reserved = true;
  };
  // one after another: two that grow at once would each drop the other's buffer
  let growing: Promise<void> = Promise.resolve();
  const inTurn = (task: () => Promise<void>): Promise<void> => {
    const after = growing.catch(() => undefined).then(task);
    growing = after;
    return after;
  };
  return {
    launches: () => launches,
    vRows: () => vRows(parts, rank4, mostBytes),
    vQuads: () => (vRows(parts, rank4, mostBytes) * rank4) / 4,
    adjust: () => (reserved ? adjust : undefined),
    reserveRank: (wanted) => (wanted <= rank4 ? Promise.resolve() : inTurn(() => growRank(wanted))),
    reserveTraits: (wanted) => ((wanted & ~traits) === 0 ? Promise.resolve() : inTurn(() => growTraits(wanted))),
    wholes: () => wholes,
    reserveAdjust: () => (reserved ? Promise.resolve() : inTurn(growAdjust)),
  };
}

/** Bytes of one row of v: an adapter of this rank at every site and split of the widest group. */
function vRowBytes(shape: ModelShape, rank4: number): number {
  return Math.max(...Object.values(shape.groups).map((group) => group.sites * group.splits)) * rank4 * 4;
}

/** Rows of v: all parts of every row, or as many as one binding holds, where an enormous batch meets an enormous rank. */
function vRows({ shape, layout }: GrowingParts, rank4: number, mostBytes: number): number {
  const { rows } = layout.limits;
  return Math.min(rows * MAX_PARTS, Math.max(rows, Math.floor(mostBytes / vRowBytes(shape, rank4))));
}

interface Back {
  readonly buffer: GPUBuffer;
  readonly bytes: number;
  readonly logitsAt: number;
}

/** Copies the step's ids, and behind them the logits that were asked for, into the next buffer of the ring. */
function copyResults(encoder: GPUCommandEncoder, a: Activations, plan: Plan, ring: ReadbackRing): Back | undefined {
  const rowBytes = a.logitsStride * 4;
  const idBytes = plan.samplers * 4;
  const bytes = idBytes + plan.readRows * rowBytes;
  if (bytes === 0) return undefined;
  const buffer = ring.next(bytes);
  if (idBytes > 0) encoder.copyBufferToBuffer(a.ids, 0, buffer, 0, idBytes);
  if (plan.readRows > 0) encoder.copyBufferToBuffer(a.logits, 0, buffer, idBytes, plan.readRows * rowBytes);
  return { buffer, bytes, logitsAt: idBytes };
}

async function collect(
  gpu: Gpu,
  ring: ReadbackRing,
  back: Back | undefined,
  plan: Plan,
  items: readonly StepItem[],
  a: Activations,
  config: ModelConfig,
): Promise<readonly ItemOutput[]> {
  if (!back) {
    await gpu.device.queue.onSubmittedWorkDone();
    throwFailure(gpu);
    return items.map(() => ({ token: undefined, logits: [] }));
  }
  const bytes = await ring.read(back.buffer, back.bytes, (mapped) => mapped.slice(0));
  throwFailure(gpu);
  const ids = new Uint32Array(bytes, 0, plan.samplers);
  return items.map((item, i) => {
    const sampler = plan.samplerOf[i];
    const id = sampler === undefined ? undefined : ids[sampler]!;
    const first = plan.logitRowOf[i]!;
    const rows = item.logits === 'read' ? item.logitRows : 0;
    const logits = Array.from(
      { length: rows },
      (_, row) => new Float32Array(bytes, back.logitsAt + (first + row) * a.logitsStride * 4, config.vocabSize),
    );
    return { token: tokenOf(id), logits };
  });
}

function tokenOf(id: number | undefined): ItemOutput['token'] {
  return id === POISONED ? 'poisoned' : id === INERT ? 'inert' : id;
}

function throwFailure(gpu: Gpu): void {
  const failure = gpu.failure();
  if (failure) throw failure;
}
