import type { Engine, EngineEvent, GenerateOptions, GpuProvider } from 'weblora';
import { gate, type Row } from '../report.ts';
import { ADAPTERS, follow, openEngine, randomTokens, type Timeline } from './frontdesk.ts';
import { spyOn, type Spy, type Submitted } from './spy.ts';

type Sampler = 'plain' | 'filters' | 'penalties' | 'filters, penalties' | 'logprobs';

/** What a request asks of the sampler. */
const SAMPLERS: Readonly<Record<Sampler, GenerateOptions>> = {
  plain: {},
  filters: { temperature: 0.8, seed: 5, topK: 20, topP: 0.9, minP: 0.02 },
  penalties: { repetitionPenalty: 1.2, presencePenalty: 0.5, frequencyPenalty: 0.5, logitBias: { 70: 2 } },
  'filters, penalties': { temperature: 0.8, seed: 5, topK: 20, repetitionPenalty: 1.2 },
  logprobs: { logprobs: 2 },
};

interface Asked {
  readonly promptLength: number;
  readonly adapter?: string;
  readonly sampler?: Sampler;
}

/** Requests that run together; every step of theirs holds the same kinds of work, whatever their number. */
interface Load {
  readonly streams: readonly Asked[];
  /** Arrives while they stream and wants one token. */
  readonly arrival?: Asked;
  /** `prompts`: the streams' prompts are looked at, and they want one token each; `answers`: their answers are. */
  readonly look: 'prompts' | 'answers' | 'both';
}

/** The dispatches of the steps that held one set of kinds of work. */
interface Kind {
  readonly counts: Map<number, number>;
  steps: number;
  readonly sequences: Set<number>;
  readonly adapters: Set<number>;
  readonly error: string | undefined;
}

const each = (count: number, asked: (i: number) => Partial<Asked>): Asked[] =>
  Array.from({ length: count }, (_, i) => ({ promptLength: 3 + ((i * 7) % 20), ...asked(i) }));
const adapter = (i: number): string => ADAPTERS[i % ADAPTERS.length]!;

function loads(): Load[] {
  const answers = (streams: readonly Asked[]): Load => ({ look: 'answers', streams });
  const prompts = (streams: readonly Asked[]): Load => ({ look: 'prompts', streams });
  const both = (streams: readonly Asked[], arrival: Asked): Load => ({ look: 'both', streams, arrival });
  const ofAdapters = (count: number): Load => answers(each(8, (i) => ({ adapter: adapter(i % count) })));
  const lengths = [[4], [40], [140], [30, 3, 50], [17, 18, 40, 5, 33, 20, 2, 9]];
  return [
    ...[1, 3, 8].map((count) => answers(each(count, () => ({})))),
    answers(each(1, () => ({ adapter: 'title' }))),
    answers(each(3, (i) => (i === 0 ? { adapter: 'json' } : {}))),
    ...[1, 2, 3, 4, 5, 6, 7, 8].map(ofAdapters),
    ...(['filters', 'penalties', 'filters, penalties', 'logprobs'] as const).flatMap((sampler) => [
      answers(each(1, () => ({ sampler }))),
      answers(each(3, (i) => (i === 1 ? { sampler } : {}))),
      answers(each(8, () => ({ sampler }))),
      answers(each(3, (i) => (i === 0 ? { sampler } : { adapter: adapter(i) }))),
      answers(each(8, (i) => ({ sampler, adapter: adapter(i) }))),
    ]),
    ...lengths.map((each) => prompts(each.map((promptLength) => ({ promptLength })))),
    ...lengths.map((each) => prompts(each.map((promptLength, i) => ({ promptLength, adapter: adapter(i) })))),
    both(
      each(3, () => ({})),
      { promptLength: 60 },
    ),
    both(
      each(1, () => ({})),
      { promptLength: 30, adapter: 'sql' },
    ),
    both(
      each(7, (i) => ({ adapter: adapter(i) })),
      { promptLength: 100 },
    ),
    both(
      each(7, (i) => ({ adapter: adapter(i) })),
      { promptLength: 60, adapter: adapter(7) },
    ),
    both(
      each(2, () => ({ sampler: 'filters' })),
      { promptLength: 60, adapter: 'title' },
    ),
  ];
}

/** Dispatches of every step of many loads, by the kinds of work in the step; and whether any set of kinds has more than one count. */
export async function dispatches(gpu: GpuProvider): Promise<Row[]> {
  const spy = spyOn(gpu);
  const engine = await openEngine(spy);
  const told = listen(engine);
  const kinds = new Map<string, Kind>();
  try {
    for (const [seed, load] of loads().entries()) await run(engine, spy, told, load, seed * 40, kinds);
  } finally {
    await engine.close();
  }
  return rowsOf(kinds);
}

function rowsOf(kinds: ReadonlyMap<string, Kind>): Row[] {
  const sorted = (values: ReadonlySet<number>): string => [...values].sort((a, b) => a - b).join(' ');
  const rows = [...kinds].map(([name, { counts, steps, sequences, adapters, error }]): Row => {
    const several = [...counts].map(([count, steps]) => `${count} in ${steps} steps`).join(', ');
    return {
      name: `dispatches/${name}`,
      value: counts.size === 0 ? undefined : Math.max(...counts.keys()),
      unit: 'dispatches',
      steps,
      sequences: sorted(sequences),
      adapters: sorted(adapters),
      ...((error !== undefined || counts.size > 1) && { note: error ?? several }),
    };
  });
  const all = [...kinds.values()];
  const failed = all.filter(({ error }) => error !== undefined).length;
  const several = all.filter(({ counts }) => counts.size > 1).length;
  return [
    ...rows,
    gate({ name: 'dispatches/kinds with several counts', value: several, unit: 'kinds', kinds: all.length }, '= 0'),
    gate({ name: 'dispatches/kinds that failed', value: failed, unit: 'kinds', kinds: all.length }, '= 0'),
  ];
}

/** Rows by adapter of every step that came back, in their order, as the engine's events tell them. */
type Told = readonly EngineEvent['steps'][number][];

function listen(engine: Engine): Told {
  const steps: EngineEvent['steps'][number][] = [];
  const read = async (): Promise<void> => {
    for await (const event of engine.events()) steps.push(...event.steps);
  };
  void read();
  return steps;
}

async function run(engine: Engine, spy: Spy, told: Told, load: Load, seed: number, kinds: Map<string, Kind>): Promise<void> {
  const { streams, arrival, look } = load;
  try {
    const steps = await watch(engine, spy, told, load, seed);
    if (steps.length === 0) throw new Error('no step of this kind was seen');
    for (const step of steps) {
      const goesOn = look === 'prompts' && step.bytesBack === 0;
      note(kinds, load, goesOn ? 'no prompt ends' : undefined, step.launches.length);
    }
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const kind = kindOf(kinds, nameOf(load, undefined));
    kinds.set(nameOf(load, undefined), {
      ...kind,
      error: kind.error ?? `${streams.length} streams${arrival ? ', one more' : ''}: ${words}`,
    });
  }
}

/** The load runs; what it submitted while it was what `look` says. */
async function watch(engine: Engine, spy: Spy, told: Told, { streams, arrival, look }: Load, seed: number): Promise<readonly Submitted[]> {
  const start = ({ promptLength, adapter, sampler = 'plain' }: Asked, i: number, maxTokens: number): Timeline =>
    follow(engine, randomTokens(promptLength, seed + i), { ...SAMPLERS[sampler], ...(adapter !== undefined && { adapter }), maxTokens });
  if (look === 'prompts') {
    const recording = spy.record();
    const ended = Promise.all(streams.map((asked, i) => start(asked, i, 1).done));
    await ended.finally(recording.stop);
    return recording.submits.filter(isStep);
  }
  const before = told.length;
  const whole = spy.record();
  const running = streams.map((asked, i) => start(asked, i, 200));
  const all = (count: number): Promise<unknown> => Promise.all(running.map((stream) => stream.reached(count)));
  try {
    await all(2);
    const from = whole.submits.length;
    if (!arrival) {
      await all(6);
      // the last tokens seen were submitted while everyone streamed
      return whole.submits.slice(from).filter(isStep);
    }
    await start(arrival, streams.length, 1).done;
  } finally {
    await Promise.all(running.map((stream) => stream.stop()));
    whole.stop();
  }
  const submitted = whole.submits.filter(isStep);
  const rows = await toldOf(told, before, submitted.length);
  return submitted.filter((step, i) => step.bytesBack > 0 && hasBoth(rows[i]!, streams, arrival!));
}

/** Whether a step that sampled, with these rows by adapter, held rows of the arriving prompt and of streams: a stream has one in a step. */
function hasBoth(rows: Readonly<Record<string, number>>, streams: readonly Asked[], arrival: Asked): boolean {
  const ids = streams.map((asked) => asked.adapter ?? '');
  const id = arrival.adapter ?? '';
  const least = ids.filter((other) => other === id).length;
  return (rows[id] ?? 0) > least && ids.some((other) => rows[other] !== undefined);
}

const isStep = ({ launches }: Submitted): boolean => launches.length > 0;

/** Rows of the steps since, once the engine has told all of them; it tells at most ten times a second. */
async function toldOf(told: Told, from: number, count: number): Promise<readonly Readonly<Record<string, number>>[]> {
  const deadline = performance.now() + 5000;
  while (told.length < from + count && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  if (told.length !== from + count) throw new Error(`${count} steps were submitted, the events tell of ${told.length - from}`);
  return told.slice(from).map(({ rows }) => rows);
}

function nameOf({ streams, arrival, look }: Load, more: string | undefined): string {
  const all = arrival ? [...streams, arrival] : streams;
  const samplers = [...new Set(all.map((asked) => asked.sampler ?? 'plain'))].filter((sampler) => sampler !== 'plain');
  const what = { prompts: 'prefill', answers: 'decode', both: 'prefill and decode' }[look];
  const adapters = all.some((asked) => asked.adapter !== undefined) ? 'adapters' : 'base';
  return [what, adapters, ...samplers, ...(more === undefined ? [] : [more])].join(', ');
}

function note(kinds: Map<string, Kind>, load: Load, more: string | undefined, count: number): void {
  const kind = kindOf(kinds, nameOf(load, more));
  const all = load.arrival ? [...load.streams, load.arrival] : load.streams;
  kind.counts.set(count, (kind.counts.get(count) ?? 0) + 1);
  kind.steps++;
  kind.sequences.add(all.length);
  kind.adapters.add(new Set(all.flatMap((asked) => asked.adapter ?? [])).size);
}

function kindOf(kinds: Map<string, Kind>, name: string): Kind {
  const kind = kinds.get(name) ?? { counts: new Map(), steps: 0, sequences: new Set(), adapters: new Set(), error: undefined };
  kinds.set(name, kind);
  return kind;
}
