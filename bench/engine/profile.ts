import { readFileSync } from 'node:fs';
import type { Engine, GpuProvider } from 'weblora';
import { HEADER, ROW_WORDS } from '../../src/kernels/step-layout.ts';
import { openBed } from '../kernels/bed.ts';
import { openCeilings, type CeilingMeter, type Ceilings } from '../kernels/ceilings.ts';
import { floorOf } from '../kernels/floor.ts';
import { median, ratios } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import { ADAPTERS, follow, FOLDER, openEngine, randomTokens, type Timeline } from './frontdesk.ts';
import { demandsOf, type StepFacts } from './demands.ts';
import { spyOn, withoutReadBack, type Spy, type Submitted } from './spy.ts';
import { replay, restore, timeKernel } from './step.ts';

const LAYERS = 8;
const PROMPT_TOKENS = 256;
const WARM_TOKENS = 8;
const STREAMS = 32;
/** Rows from which on a dispatch is so long that few repeats tell its time. */
const LONG_ROWS = 32;
/** Tokens of each stream between which a throughput is measured. */
const FROM = 4;
const TO = 20;

/** Steps as they were submitted, and what each had to compute. */
interface Captured {
  readonly steps: readonly { readonly submitted: Submitted; readonly facts: StepFacts }[];
}

/** Milliseconds. */
interface Split {
  readonly step: number;
  readonly again: number;
  readonly kernels: number;
  readonly floors: number;
  readonly launches: number;
}

/** By label: milliseconds of all its dispatches, their floors, and how many they are. */
type Kernels = Map<string, { readonly ms: number[]; readonly floor: number[]; dispatches: number }>;

/**
 * Where the time of a step goes: into the floors of its kernels, into what its kernels take beyond them, and into what lies between
 * the kernels. Then what adapters cost a batch of 32.
 */
export async function profile(gpu: GpuProvider, pairs: number): Promise<Row[]> {
  const bed = await openBed(gpu);
  const ceilings = await openCeilings(bed);
  const spy = spyOn(gpu);
  const engine = await openEngine(spy);
  try {
    return [
      ...(await profileOf('decode of 8 under 8 adapters', spy, ceilings, pairs, () => captureDecode(engine, spy))),
      ...(await profileOf(`prefill of ${PROMPT_TOKENS}`, spy, ceilings, pairs, () => capturePrefill(engine, spy))),
      ...(await throughputs(engine, pairs)),
    ];
  } finally {
    await engine.close();
    bed.device.destroy();
  }
}

/** What the planner told the kernels of a step. */
function factsOf(submitted: Submitted, ranks: StepFacts['ranks']): StepFacts {
  const write = submitted.writes.find(({ buffer }) => buffer.label === 'step');
  if (!write) throw new Error('a step came without its metadata');
  const words = new Uint32Array(write.bytes.buffer, write.bytes.byteOffset, write.bytes.byteLength >> 2);
  const rows = words[HEADER.rows]!;
  const positions = Array.from({ length: rows }, (_, i) => words[HEADER.words + i * ROW_WORDS + 1]!);
  const blockRows = Array.from({ length: rows }, (_, i) => words[HEADER.words + i * ROW_WORDS + 2]!);
  return { rows, positions, blockRows, logitRows: words[HEADER.logitRows]!, samplers: words[HEADER.samplers]!, ranks };
}

/** Rank and targets of each of the small model's adapters. */
function adapterRanks(): StepFacts['ranks'] {
  return ADAPTERS.map((id) => {
    const { r, target_modules: targets } = JSON.parse(readFileSync(`${FOLDER}/adapters/${id}/adapter_config.json`, 'utf8')) as {
      r: number;
      target_modules: string[];
    };
    return { rank: Math.ceil(r / 4) * 4, targets };
  });
}

/** The last step of eight streams under eight adapters. */
async function captureDecode(engine: Engine, spy: Spy): Promise<Captured> {
  const streams = ADAPTERS.map((adapter, i) => follow(engine, randomTokens(24, 7000 + i), { adapter, maxTokens: 200 }));
  try {
    await Promise.all(streams.map((stream) => stream.reached(WARM_TOKENS)));
    const recording = spy.record();
    await Promise.all(streams.map((stream) => stream.reached(WARM_TOKENS + 6)));
    const last = recording
      .stop()
      .findLast(({ launches, writes }) => launches.length > 0 && writes.some(({ buffer }) => buffer.label === 'step'));
    if (!last) throw new Error('no step was recorded');
    return { steps: [{ submitted: withoutReadBack(spy.device(), last), facts: factsOf(last, adapterRanks()) }] };
  } finally {
    await Promise.all(streams.map((stream) => stream.stop()));
  }
}

/** All steps from a request with a prompt of 256 tokens to its first token. */
async function capturePrefill(engine: Engine, spy: Spy): Promise<Captured> {
  const recording = spy.record();
  const stream = follow(engine, randomTokens(PROMPT_TOKENS, 7500), { maxTokens: 1 });
  await stream.done;
  const submits = recording.stop().filter(({ launches }) => launches.length > 0);
  const steps = submits.map((submitted) => ({ submitted: withoutReadBack(spy.device(), submitted), facts: factsOf(submitted, []) }));
  // the engine may have begun a step for a token that nobody wants
  const prompt = steps.filter(({ facts }) => facts.positions.every((position) => position < PROMPT_TOKENS));
  const rows = prompt.reduce((sum, { facts }) => sum + facts.rows, 0);
  if (rows !== PROMPT_TOKENS) throw new Error(`a prompt of ${PROMPT_TOKENS} tokens took ${rows} rows`);
  return { steps: prompt };
}

async function profileOf(name: string, spy: Spy, ceilings: CeilingMeter, pairs: number, capture: () => Promise<Captured>): Promise<Row[]> {
  const captured = await capture();
  const device = spy.device();
  await device.queue.onSubmittedWorkDone();
  const kernels: Kernels = new Map();
  const splits: Split[] = [];
  for (let pair = 0; pair < pairs; pair++) splits.push(await splitOf(device, captured, await ceilings.now(), kernels));
  const launches = captured.steps.flatMap(({ submitted }) => submitted.launches);
  const outside = /^(embed|sample-)/;
  const inLayers = launches.filter(({ label }) => !outside.test(label)).length / captured.steps.length;
  return rowsOf(name, splits, kernels, launches.length, captured.steps.length, Math.floor(inLayers / LAYERS));
}

async function splitOf(device: GPUDevice, { steps }: Captured, now: Ceilings, kernels: Kernels): Promise<Split> {
  const sums = { step: 0, again: 0, kernels: 0, floors: 0, launches: 0 };
  const round = new Map<string, { ms: number; floor: number; dispatches: number }>();
  for (const { submitted, facts } of steps) {
    restore(device, submitted);
    sums.step += await replay(device, submitted);
    const demands = demandsOf(submitted.launches, facts);
    for (const [i, launch] of submitted.launches.entries()) {
      const ms = await timeKernel(device, launch, facts.rows > LONG_ROWS ? 3 : 20);
      const floor = floorOf(demands[i]!, now);
      const of = round.get(launch.label) ?? { ms: 0, floor: 0, dispatches: 0 };
      round.set(launch.label, { ms: of.ms + ms, floor: of.floor + floor, dispatches: of.dispatches + 1 });
      sums.kernels += ms;
      sums.floors += floor;
      sums.launches += now.launch;
    }
    sums.again += await replay(device, submitted);
  }
  for (const [label, { ms, floor, dispatches }] of round) {
    const known = kernels.get(label) ?? { ms: [], floor: [], dispatches };
    known.ms.push(ms);
    known.floor.push(floor);
    kernels.set(label, known);
  }
  return sums;
}

/** Dispatches of a layer: five of the base's that compute, four matmuls, and twice as many again for adapters. */
const launchesOf = (kernels: Kernels): number => ([...kernels.keys()].some((label) => label.startsWith('lora-')) ? 17 : 9);

function rowsOf(name: string, splits: readonly Split[], kernels: Kernels, launches: number, steps: number, perLayer: number): Row[] {
  const middle = (of: (split: Split) => number): number => median(splits.map(of));
  const ratio = (what: string, of: (split: Split) => number, to: (split: Split) => number): Row => {
    const { median: value, ...spread } = ratios(splits.map((split) => ({ of: of(split), to: to(split) })));
    return { name: `profile/${name}: ${what}`, value, unit: 'ratio', ...spread };
  };
  const byKernel = [...kernels].map(([label, { ms, floor, dispatches }]): Row => {
    return { name: `profile/${name}: kernel ${label}`, value: median(ms), unit: 'ms', floor: median(floor), dispatches };
  });
  return [
    ...byKernel.sort((a, b) => b.value! - a.value!),
    {
      name: `profile/${name}: floors`,
      value: middle(({ floors }) => floors),
      unit: 'ms',
      launches: middle((split) => split.launches),
      steps,
    },
    { name: `profile/${name}: kernels beyond their floors`, value: middle((split) => split.kernels - split.floors), unit: 'ms' },
    { name: `profile/${name}: gaps`, value: middle((split) => split.step - split.kernels), unit: 'ms' },
    { name: `profile/${name}: steps`, value: middle(({ step }) => step), unit: 'ms', dispatches: launches },
    gate(
      { name: `profile/${name}: dispatches per layer`, value: perLayer, unit: 'dispatches', note: 'goal: 12' },
      `<= ${launchesOf(kernels)}`,
    ),
    ratio(
      'steps of steps (A/A)',
      (split) => split.again,
      (split) => split.step,
    ),
    gate(
      ratio(
        'steps of floors',
        (split) => split.step,
        (split) => split.floors,
      ),
      '<= 1.4',
    ),
  ];
}

/** Whose answers 32 streams are: the base's, one adapter's, or each its own: eight adapters at 32 scales, which are 32 segments. */
const KINDS = {
  'base only': () => ({}),
  identical: () => ({ adapter: ADAPTERS[0] }),
  distinct: (i: number) => ({ adapter: [{ id: ADAPTERS[i % ADAPTERS.length]!, scale: 1 - i / 64 }] }),
} as const;

async function throughputs(engine: Engine, pairs: number): Promise<Row[]> {
  const order = ['base only', 'identical', 'distinct', 'again'] as const;
  const found = Object.fromEntries(order.map((kind) => [kind, [] as number[]])) as Record<(typeof order)[number], number[]>;
  for (let pair = 0; pair < pairs; pair++) {
    for (const kind of order) found[kind].push(await throughput(engine, kind === 'again' ? 'base only' : kind, 8000 + 100 * pair));
  }
  const rows = (['base only', 'identical', 'distinct'] as const).map((kind): Row => {
    return { name: `profile/${STREAMS} streams, ${kind}`, value: median(found[kind]), unit: 'tokens/s' };
  });
  const against = (name: string, of: readonly number[]): Row => {
    const { median: value, ...spread } = ratios(of.map((rate, i) => ({ of: rate, to: found['base only'][i]! })));
    return { name: `profile/${STREAMS} streams, ${name}`, value, unit: 'ratio', ...spread };
  };
  return [
    ...rows,
    against('base only of base only (A/A)', found.again),
    against('identical of base only', found.identical),
    against('distinct of base only', found.distinct),
  ];
}

/** Tokens per second of all streams together between their fifth tokens and their last ones. */
async function throughput(engine: Engine, kind: keyof typeof KINDS, seed: number): Promise<number> {
  const streams: Timeline[] = Array.from({ length: STREAMS }, (_, i) =>
    follow(engine, randomTokens(8, seed + i), { ...KINDS[kind](i), maxTokens: TO + 8 }),
  );
  try {
    await Promise.all(streams.map((stream) => stream.reached(FROM)));
    const before = streams.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const began = performance.now();
    await Promise.all(streams.map((stream) => stream.reached(TO)));
    const after = streams.reduce((sum, { tokens }) => sum + tokens.length, 0);
    return (1000 * (after - before)) / (performance.now() - began);
  } finally {
    await Promise.all(streams.map((stream) => stream.stop()));
  }
}
