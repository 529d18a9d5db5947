import type { Engine, GpuProvider } from 'weblora';
import { median, ratios } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import { ADAPTERS, follow, gaps, openEngine, randomTokens, type Timeline } from './frontdesk.ts';
import { repeat, spyOn, withoutReadBack, type Launch, type Spy, type Submitted } from './spy.ts';

const PROMPT_TOKENS = 24;
/** Tokens of each stream before its gaps count, and with them. */
const FIRST = 8;
const LAST = 24;
/** Dispatches in one pass, of which the first pays for the pass and the submit. */
const REPEATS = 20;
const REPLAYS = 3;

interface Pair {
  /** Milliseconds. */
  readonly kernels: number;
  readonly step: number;
  readonly again: number;
  readonly engine: number;
}

/**
 * What a decode step of eight sequences with eight adapters costs beside the sum of its kernels. The step is submitted again as the
 * engine submitted it; each of its dispatches is also timed by itself.
 */
export async function batchedStep(gpu: GpuProvider, pairs: number): Promise<Row[]> {
  const spy = spyOn(gpu);
  const engine = await openEngine(spy);
  try {
    const before = await answers(engine);
    const found: Pair[] = [];
    const byKernel = new Map<string, number[]>();
    for (let pair = -1; pair < pairs; pair++) {
      const timed = await measure(engine, spy, pair, byKernel);
      if (pair >= 0) found.push(timed); // the first warms up
      else byKernel.clear();
    }
    if (JSON.stringify(await answers(engine)) !== JSON.stringify(before))
      throw new Error('steps that were submitted again changed later answers');
    return rowsOf(found, byKernel, (await engine.stats()).stepMs?.p50);
  } finally {
    await engine.close();
  }
}

/** One pair: eight streams run, and then, with nobody running, their last step whole, its kernels, and the step whole again. */
async function measure(engine: Engine, spy: Spy, pair: number, byKernel: Map<string, number[]>): Promise<Pair> {
  const { step, ms } = await capture(engine, spy, pair);
  const device = spy.device();
  await device.queue.onSubmittedWorkDone();
  restore(device, step);
  const wholes: number[] = [];
  const agains: number[] = [];
  const whole = async (): Promise<void> => {
    for (let i = 0; i < REPLAYS; i++) {
      wholes.push(await replay(device, step));
      agains.push(await replay(device, step));
    }
  };
  await whole();
  let kernels = 0;
  for (const launch of step.launches) {
    const kernel = await timeKernel(device, launch);
    kernels += kernel;
    byKernel.set(launch.label, [...(byKernel.get(launch.label) ?? []), kernel]);
  }
  await whole();
  return { kernels, step: median(wholes), again: median(agains), engine: ms };
}

/** The last step of eight streams that decode under eight adapters, and the milliseconds between two tokens of theirs. */
async function capture(engine: Engine, spy: Spy, pair: number): Promise<{ readonly step: Submitted; readonly ms: number }> {
  const streams = start(engine, 100 * (pair + 2));
  try {
    await Promise.all(streams.map((stream) => stream.reached(FIRST)));
    const from = performance.now();
    const recording = spy.record();
    await Promise.all(streams.map((stream) => stream.reached(LAST)));
    const submits = recording.stop().filter(({ launches }) => launches.length > 0);
    const counts = new Set(submits.map(({ launches }) => launches.length));
    if (counts.size !== 1) throw new Error(`decode steps of the same streams have ${[...counts].join(' and ')} dispatches`);
    const between = streams.flatMap((stream) => gaps(stream, from, performance.now()));
    return { step: withoutReadBack(spy.device(), submits.at(-1)!), ms: between.reduce((sum, gap) => sum + gap, 0) / between.length };
  } finally {
    await Promise.all(streams.map((stream) => stream.stop()));
  }
}

const start = (engine: Engine, seed: number, maxTokens = 200): Timeline[] =>
  ADAPTERS.map((adapter, i) => follow(engine, randomTokens(PROMPT_TOKENS, seed + i), { adapter, maxTokens }));

async function answers(engine: Engine): Promise<readonly (readonly number[])[]> {
  const streams = start(engine, 1, LAST);
  await Promise.all(streams.map(({ done }) => done));
  return streams.map(({ tokens }) => tokens);
}

/** What the step was told, for its dispatches to find it again. */
function restore({ queue }: GPUDevice, { writes }: Submitted): void {
  for (const { buffer, offset, bytes } of writes) queue.writeBuffer(buffer, offset, bytes);
}

/** Milliseconds from the first call of a step's recording to its end on the device. */
async function replay(device: GPUDevice, { commands }: Submitted): Promise<number> {
  const began = performance.now();
  const encoder = device.createCommandEncoder();
  for (const { kind, calls } of commands) {
    const pass = kind === 'pass' ? encoder.beginComputePass() : undefined;
    repeat(pass ?? encoder, calls);
    pass?.end();
  }
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
  return performance.now() - began;
}

/** Milliseconds of one dispatch: what each of `REPEATS` in one pass costs more than the first. */
async function timeKernel(device: GPUDevice, launch: Launch): Promise<number> {
  const once = await timePass(device, launch, 1);
  const often = await timePass(device, launch, REPEATS);
  return (often - once) / (REPEATS - 1);
}

async function timePass(device: GPUDevice, { setup, dispatch }: Launch, repeats: number): Promise<number> {
  const began = performance.now();
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  repeat(pass, setup);
  for (let i = 0; i < repeats; i++) repeat(pass, [dispatch]);
  pass.end();
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
  return performance.now() - began;
}

function rowsOf(pairs: readonly Pair[], byKernel: ReadonlyMap<string, readonly number[]>, stepMs: number | undefined): Row[] {
  const middle = (of: (pair: Pair) => number): number => median(pairs.map(of));
  const ratio = (name: string, of: (pair: Pair) => number, to: (pair: Pair) => number): Row => {
    const { median: value, ...spread } = ratios(pairs.map((pair) => ({ of: of(pair), to: to(pair) })));
    return { name, value, unit: 'ratio', ...spread };
  };
  const kernels = [...byKernel].map(([label, times]): Row => {
    const ofStep = times.reduce((sum, time) => sum + time, 0) / pairs.length;
    return { name: `step/kernel ${label}`, value: ofStep, unit: 'ms', dispatches: times.length / pairs.length };
  });
  return [
    ...kernels.sort((a, b) => b.value! - a.value!),
    { name: 'step/kernels', value: middle((pair) => pair.kernels), unit: 'ms' },
    { name: 'step/step', value: middle((pair) => pair.step), unit: 'ms' },
    { name: 'step/engine', value: middle((pair) => pair.engine), unit: 'ms' },
    { name: 'step/stats', value: stepMs, unit: 'ms', ...(stepMs === undefined && { note: 'stats() has no stepMs' }) },
    ratio(
      'step/step of step (A/A)',
      (pair) => pair.again,
      (pair) => pair.step,
    ),
    gate(
      ratio(
        'step/step of kernels',
        (pair) => pair.step,
        (pair) => pair.kernels,
      ),
      '<= 1.25',
    ),
    gate(
      ratio(
        'step/engine of kernels',
        (pair) => pair.engine,
        (pair) => pair.kernels,
      ),
      '<= 1.25',
    ),
  ];
}
