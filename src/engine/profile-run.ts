import { createBuffers, type Buffers } from '../gpu/buffers.ts';
import { createPipelines } from '../gpu/pipelines.ts';
import { planeLayout } from '../kernels/libraries.ts';
import { invalid } from './option-checks.ts';
import type { EngineLimits } from './options.ts';
import type { Plane } from '../model/planes.ts';
import { openDevice, type ServingDevice } from './device.ts';
import { runtimeName } from './kernel-memory.ts';
import { createClock, type Clock } from './kernel-timing.ts';
import { openModel, type OpenedModel } from './load.ts';
import { attemptsOf, ceilingBytes, ceilingNumbers, openCeilings, type Attempt, type CeilingMeter } from './profile-ceilings.ts';
import { demandsOf, type StepWork } from './profile-demands.ts';
import type { Ceilings } from './profile-floor.ts';
import type { ProfileOptions, ProfileReport } from './profile-report.ts';
import { groupsOf, median, profiledStep, type StepSamples } from './profile-step.ts';
import { createTimer, type TimedDispatches, type Timer } from './profile-timer.ts';
import { fillPages, placeAdapters, profileSteps, workOf, type PlacedAdapter, type ProfileStep, type StepSizes } from './profile-work.ts';
import type { GpuProvider } from './types.ts';

/** Rounds behind each figure: each takes the ceilings, then every step and its kernels. */
const ROUNDS = 7;
/** A decode step and a chunk of a prompt. */
const STEPS = 2;
/** Bytes that ceilings are read from: as many as the weights take, within these. */
const STREAM_BYTES = { least: 4 << 20, most: 128 << 20 } as const;

/** Says what comes next; throws where the caller has left. */
type Next = (what: string) => void;

/** See `profile`. */
export async function takeApart(provider: GpuProvider, options: ProfileOptions, limits: EngineLimits): Promise<ProfileReport> {
  const started = performance.now();
  const total = 2 + ROUNDS * STEPS;
  let done = 0;
  const next: Next = (what) => {
    options.signal?.throwIfAborted();
    options.onProgress?.({ done, total, next: what });
    done += 1;
  };
  next('loading the model');
  const { onProgress: _, ...modelOptions } = options;
  const opened = await openModel(modelOptions);
  const device = await open(provider, options, limits, opened);
  const buffers = createBuffers(device.gpu.device);
  const clock = createClock(device.gpu);
  try {
    const sizes = sizesOf(options, limits, device);
    const placed = await placeAdapters(device, options, sizes);
    next('finding what the device can do at most');
    const time = await createTimer(clock);
    const meter = await openMeter(device, buffers, time);
    fillPages(device, sizes);
    const measured = await measure({ device, placed, time, meter, next }, profileSteps(device, placed, sizes));
    const failure = device.gpu.failure();
    if (failure) throw failure;
    next('');
    return reportOf({ device, opened, clock, options }, measured, performance.now() - started);
  } catch (error) {
    throw device.gpu.failure() ?? error;
  } finally {
    clock.destroy();
    buffers.destroy();
    await device.destroy();
  }
}

function open(provider: GpuProvider, options: ProfileOptions, limits: EngineLimits, opened: OpenedModel): Promise<ServingDevice> {
  const { precision, quantize, kernels, memory, signal } = options;
  const { sequences, batchRows } = limits;
  return openDevice({
    ...{ provider, opened, precision, quantize, kernels, signal },
    store: undefined,
    settings: { maxModelLength: undefined, poolBytes: memory?.pool, sequences, batchRows },
    deterministic: false,
    onProgress: undefined,
  });
}

/** @throws WebLoraError `request_invalid` for more than the model's context holds. */
function sizesOf({ context, promptRows }: ProfileOptions, { sequences }: EngineLimits, { model }: ServingDevice): StepSizes {
  const { contextLength } = model;
  for (const [name, value] of Object.entries({ context, promptRows })) {
    if (value !== undefined && value > contextLength) throw invalid(name, value, `at most the model's context, ${contextLength}`);
  }
  return { rows: sequences, context: context ?? Math.min(128, contextLength), promptRows: promptRows ?? Math.min(64, contextLength) };
}

async function openMeter({ gpu, model }: ServingDevice, buffers: Buffers, time: Timer): Promise<CeilingMeter> {
  const { device, software } = gpu;
  const { head, layers } = model.weights;
  const planes = [head, ...layers.flatMap(({ qkv, o, gateUp, down }) => [qkv, o, gateUp, down])];
  const bytesOf = ({ width, chunks }: Plane): number =>
    chunks.reduce((sum, { type, rows }) => sum + (planeLayout(type, 4, 32).bytes / 128) * rows * width, 0);
  const weights = planes.reduce((sum, plane) => sum + bytesOf(plane), 0);
  const { source: bytes, sink: sinkBytes } = ceilingBytes(software, clamp(weights, STREAM_BYTES.least, STREAM_BYTES.most));
  const source = buffers.storage('ceilings: source', bytes);
  const sink = buffers.storage('ceilings: sink', sinkBytes);
  await buffers.settled();
  const numbers = ceilingNumbers(1 << 18);
  for (let at = 0; at < bytes; at += numbers.byteLength) {
    device.queue.writeBuffer(source, at, numbers, 0, Math.min(numbers.length, (bytes - at) / 4));
  }
  const pipelines = createPipelines(device, buffers);
  const prepare = async ({ kernel, constants, threads }: Attempt): Promise<TimedDispatches> => {
    const pipeline = await pipelines.get(kernel, { constants, libraries: [] });
    return [{ dispatch: pipelines.bind(pipeline, { source, sink }), threads }];
  };
  return openCeilings({ prepare, time }, attemptsOf(software, [bytes]));
}

const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, value));

interface Measuring {
  readonly device: ServingDevice;
  readonly placed: readonly PlacedAdapter[];
  readonly time: Timer;
  readonly meter: CeilingMeter;
  readonly next: Next;
}

interface Measured {
  readonly steps: readonly StepSamples[];
  readonly ceilings: readonly Ceilings[];
}

/** A step of which every round takes samples. */
interface Sampled extends StepSamples {
  readonly items: ProfileStep['items'];
  /** All its dispatches, and those of each of `kernels`. */
  readonly all: TimedDispatches;
  readonly parts: readonly TimedDispatches[];
  readonly kernels: readonly { readonly group: StepSamples['kernels'][number]['group']; readonly ms: number[] }[];
  readonly whole: number[];
}

async function measure({ device, placed, time, meter, next }: Measuring, steps: readonly ProfileStep[]): Promise<Measured> {
  const ceilings: Ceilings[] = [];
  const sampled = steps.map((step) => sampledStep(device, step, workOf(device, placed, step.items)));
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { step, items, all, parts, kernels, whole } of sampled) {
      next(`${step}, round ${round} of ${ROUNDS}`);
      ceilings.push(await meter.now());
      device.model.prepare(items); // the steps share the buffer that tells what they are
      whole.push(await time(all));
      for (const [i, { ms }] of kernels.entries()) ms.push(await time(parts[i]!));
    }
  }
  return { steps: sampled, ceilings };
}

function sampledStep({ model }: ServingDevice, { name, items }: ProfileStep, work: StepWork): Sampled {
  const { plan, launches } = model.prepare(items);
  const all = launches
    .map(({ dispatch, threads }) => ({ dispatch: dispatch(plan), threads: threads(plan) }))
    .filter(({ threads }) => threads > 0);
  const labels = all.map(({ dispatch }) => dispatch.label);
  const demands = demandsOf(labels, work);
  const groups = groupsOf(labels, demands);
  return {
    step: name,
    rows: plan.rows,
    keys: plan.keys,
    items,
    demands,
    all,
    parts: groups.map(({ at }) => at.map((i) => all[i]!)),
    kernels: groups.map((group) => ({ group, ms: [] })),
    whole: [],
  };
}

function reportOf(
  { device, opened, clock, options }: { device: ServingDevice; opened: OpenedModel; clock: Clock; options: ProfileOptions },
  { steps, ceilings }: Measured,
  ms: number,
): ProfileReport {
  const { gpu, precision, quantize, kernels } = device;
  const middle = (name: keyof Ceilings): number => median(ceilings.map((each) => each[name]));
  const most: Ceilings = { launch: middle('launch'), flops: middle('flops'), stream: middle('stream'), loads: middle('loads') };
  return {
    version: 1,
    at: new Date().toISOString(),
    runtime: runtimeName(),
    device: { name: gpu.description, software: gpu.software, info: { ...gpu.info } },
    model: opened.info.name,
    precision,
    ...(quantize !== undefined && { quantize }),
    serving: kernels.serving,
    adapters: options.adapters?.length ?? 0,
    clock: clock.kind,
    ceilings: {
      launchMs: most.launch,
      gflops: most.flops / 1e6,
      gigabytesPerSecond: most.stream / 1e6,
      gigaloadsPerSecond: most.loads / 1e6,
    },
    steps: steps.map((step) => profiledStep(step, most)),
    ms,
  };
}
