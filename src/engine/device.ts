import type { PackedAdapter } from '../adapters/sites.ts';
import { loadPart, WebLoraError } from '../errors.ts';
import { openGpu, type Gpu } from '../gpu/device.ts';
import { measureReadback } from '../gpu/readback.ts';
import type { Model, ModelSettings } from '../model/model.ts';
import { QUANTIZATION } from '../model/plane-types.ts';
import type { OpenedModel } from './load.ts';
import { MOST_DEPTH } from './depth.ts';
import type { KernelChoice } from './kernel-choice.ts';
import type { EngineOptions, GpuProvider, KernelStats } from './types.ts';

/** A model on a device that may be lost at any time, and built again. */
export interface ServingDevice {
  /** The one of now: `rebuild` replaces both. */
  readonly gpu: Gpu;
  readonly model: Model;
  readonly precision: 'exact' | 'half';
  readonly quantize: EngineOptions['quantize'];
  /** The kernels of now. */
  readonly kernels: KernelStats;
  /** Milliseconds from the end of a step to its result in JS. */
  readonly readbackMs: number;
  /** How often the device was lost and built again. */
  readonly losses: number;
  /** Makes room for adapters of this rank, on this device and on those after it. Throws `out_of_memory`. */
  reserveRank(rank4: number): Promise<void>;
  /** The same for what adapters with these bits of `TRAITS` need. */
  reserveTraits(traits: number): Promise<void>;
  /** The same for penalties and biases. */
  reserveAdjust(): Promise<void>;
  /** Whether there is room now for what an adapter has in buffers of its own, see `Finisher`. Throws `out_of_memory`. */
  checkRoom(adapter: PackedAdapter): Promise<void>;
  /** A step came back: the device works. */
  worked(): void;
  /** Whether the device of now is gone; waits a moment where an error says so and the device does not yet. */
  isLost(error: unknown): Promise<boolean>;
  /** Opens a device anew and reads the base onto it from where it came. Throws `device_lost`, which says why it cannot be. */
  rebuild(): Promise<void>;
  /** Calls it at every loss but one that `destroy` caused. */
  onLost(listener: () => void): void;
  /** Frees the device at once; fulfilled when one that is being built is gone, too. */
  destroy(): Promise<void>;
}

export interface DeviceOptions {
  readonly provider: GpuProvider;
  readonly opened: OpenedModel;
  readonly precision: EngineOptions['precision'];
  readonly quantize: EngineOptions['quantize'];
  readonly kernels: EngineOptions['kernels'];
  /** Where what was found out about the device's kernels is kept. */
  readonly store: EngineOptions['store'];
  readonly settings: Omit<ModelSettings, 'precision' | 'quantize' | 'kernels' | 'depth' | 'nudge'>;
  readonly deterministic: boolean;
  readonly onProgress: EngineOptions['onProgress'];
  readonly signal: AbortSignal | undefined;
}

interface Built {
  readonly gpu: Gpu;
  readonly model: Model;
  readonly readbackMs: number;
  readonly precision: 'exact' | 'half';
  readonly kernels: KernelChoice['report'];
}

/** Losses in a row, with no step in between that came back, after which the device is given up. */
const MOST_LOSSES_IN_A_ROW = 3;
/** A device that was there for so long works, though nobody may have asked it for a step. */
const LONG_LIFE_MS = 10_000;
/** How long an error that a loss may have caused waits for the device to say so. */
const LOSS_DELAY_MS = 1000;

/**
 * Opens a device and builds the model on it.
 * @throws WebLoraError `gpu_missing`, and what reading and building throw; nothing stays on the GPU then.
 */
export async function openDevice(options: DeviceOptions): Promise<ServingDevice> {
  let now = await build(options);
  const { precision, model: first } = now;
  const settings = { ...options.settings, maxModelLength: first.contextLength };
  const ended = new AbortController();
  const again: DeviceOptions = { ...options, precision, settings, onProgress: undefined, signal: ended.signal };
  const ranks = new Set<number>();
  const traits = new Set<number>();
  let adjusts: 'yes' | 'no' = 'no';
  let losses = 0;
  let inARow = 0;
  let builtAt = performance.now();
  let building: Promise<void> = Promise.resolve();
  let destroyed = false;
  let listener: () => void = () => undefined;

  const watch = ({ gpu }: Built): void => {
    void gpu.lost.then(() => {
      if (!destroyed && now.gpu === gpu) listener();
    });
  };
  watch(now);

  const isLost = async ({ gpu }: Built, error: unknown): Promise<boolean> => {
    const mayBe = error instanceof WebLoraError && error.code === 'device_lost';
    if (mayBe) await Promise.race([gpu.lost, new Promise((resolve) => setTimeout(resolve, LOSS_DELAY_MS))]);
    return gpu.failure()?.code === 'device_lost';
  };
  /** Runs it on the device of now; where that is lost meanwhile, `rebuild` repeats what was reserved. What cannot be had, `forget` takes back. */
  const onDevice = async (reserve: (model: Model) => Promise<void>, forget: () => void): Promise<void> => {
    const on = now;
    try {
      await reserve(on.model);
    } catch (error) {
      if (await isLost(on, error)) return;
      forget();
      throw error;
    }
  };
  const buildAgain = async (): Promise<void> => {
    const built = await build(again);
    now = built; // what is reserved from here on is reserved there
    try {
      await built.model.reserveRank(Math.max(0, ...ranks));
      await built.model.reserveTraits([...traits].reduce((all, each) => all | each, 0));
      if (adjusts === 'yes') await built.model.reserveAdjust();
      requireRoom(built.model, first);
    } catch (error) {
      const failure = built.gpu.failure();
      release(built);
      throw failure?.code === 'device_lost' ? failure : error;
    }
  };
  const rebuild = async (): Promise<void> => {
    if (performance.now() - builtAt > LONG_LIFE_MS) inARow = 0;
    let lost = 0;
    for (;;) {
      const before = now.gpu.failure();
      release(now);
      if (++inARow > MOST_LOSSES_IN_A_ROW) throw givenUp(`no step came back from the last ${MOST_LOSSES_IN_A_ROW} that were built`, before);
      lost += 1;
      try {
        await buildAgain();
        break;
      } catch (cause) {
        const isLostAgain = cause instanceof WebLoraError && cause.code === 'device_lost';
        if (!isLostAgain || destroyed) throw givenUp(`it could not be built again: ${String((cause as Error).message)}`, cause);
      }
    }
    losses += lost;
    builtAt = performance.now();
    watch(now);
    if (destroyed) release(now);
  };

  return {
    get gpu() {
      return now.gpu;
    },
    get model() {
      return now.model;
    },
    precision,
    quantize: options.quantize,
    get kernels() {
      return { ...now.kernels, compileMs: slowestByLabel(now.model) };
    },
    get readbackMs() {
      return now.readbackMs;
    },
    get losses() {
      return losses;
    },
    reserveRank: (rank4) => {
      ranks.add(rank4);
      return onDevice(
        (model) => model.reserveRank(rank4),
        () => ranks.delete(rank4),
      );
    },
    reserveTraits: (wanted) => {
      traits.add(wanted);
      return onDevice(
        (model) => model.reserveTraits(wanted),
        () => traits.delete(wanted),
      );
    },
    reserveAdjust: () => {
      adjusts = 'yes';
      return onDevice(
        (model) => model.reserveAdjust(),
        () => (adjusts = 'no'),
      );
    },
    checkRoom: (adapter) =>
      onDevice(
        (model) => model.finisher.checkRoom(adapter),
        () => undefined,
      ),
    worked: () => (inARow = 0),
    isLost: async (error) => !destroyed && (await isLost(now, error)),
    rebuild: () => (building = rebuild()),
    onLost: (heard) => (listener = heard),
    destroy: async () => {
      destroyed = true;
      ended.abort();
      release(now);
      await building.catch(() => undefined);
    },
  };
}

function release({ model, gpu }: Built): void {
  model.destroy();
  gpu.device.destroy();
}

/** A device that comes in another's place must hold what runs. */
function requireRoom({ pool, logitRows, adjustRows }: Model, first: Model): void {
  const isLess = pool.pages < first.pool.pages || logitRows < first.logitRows || adjustRows < first.adjustRows;
  if (isLess) throw new WebLoraError('gpu_limit', 'the device that came in its place has less memory');
}

function givenUp(why: string, cause: unknown): WebLoraError {
  return new WebLoraError('device_lost', `The GPU device was lost, and ${why}. Open the engine anew.`, { cause });
}

async function build(options: DeviceOptions): Promise<Built> {
  const { provider, opened, settings, deterministic, signal } = options;
  const modelPart = loadPart(() => import('../model/model.ts'));
  modelPart.catch(() => undefined); // awaited below, unless there is no device
  const gpu = await openGpu(provider);
  let choosing: Promise<KernelChoice> | undefined;
  try {
    const precision = options.precision ?? (gpu.software ? 'exact' : 'half');
    const readback = await measureReadback(gpu.device);
    const { files, config } = opened;
    const quantize = options.quantize && QUANTIZATION[options.quantize];
    choosing = choose(gpu, options, precision);
    const kernels = choosing.then((choice) => choice.kernels);
    kernels.catch(() => undefined); // told by `buildModel`, unless the weights fail first
    const full: ModelSettings = { ...settings, precision, quantize, kernels, depth: MOST_DEPTH, nudge: readback.nudge };
    const { buildModel } = await modelPart;
    const model = await buildModel(gpu, files, config, full, { onProgress: progressOf(options), signal });
    if (deterministic) await (await loadPart(() => import('./self-check.ts'))).checkDeterminism(model, gpu.description);
    const { report } = await choosing;
    return { gpu, model, precision, readbackMs: readback.ms, kernels: report };
  } catch (error) {
    await choosing?.catch(() => undefined); // it leaves nothing on the GPU once it has ended
    const failure = gpu.failure();
    gpu.device.destroy();
    throw failure?.code === 'device_lost' ? failure : error;
  }
}

/** The kernels for this device; they are checked beside the weights' arrival. */
async function choose(gpu: Gpu, options: DeviceOptions, precision: 'exact' | 'half'): Promise<KernelChoice> {
  const { kernels = 'auto', opened, quantize, store, deterministic } = options;
  const { chooseKernels, caseTypes } = await loadPart(() => import('./kernel-choice.ts'));
  const types = caseTypes(gpu, opened, precision, quantize && QUANTIZATION[quantize]);
  return chooseKernels(gpu, kernels, types, { store, deterministic });
}

function slowestByLabel(model: Model): Readonly<Record<string, number>> {
  const slowest: Record<string, number> = {};
  for (const { label, ms } of model.compiled()) slowest[label] = Math.max(slowest[label] ?? 0, ms);
  return slowest;
}

function progressOf({ opened, onProgress }: DeviceOptions): (bytes: number, file: string) => void {
  const total = [...opened.files.tensors.values()].reduce((sum, info) => sum + info.end - info.start, 0);
  let loaded = 0;
  return (bytes, file) => {
    loaded += bytes;
    onProgress?.({ loaded, total, file });
  };
}
