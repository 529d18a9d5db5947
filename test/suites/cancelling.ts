import type { CoreEngine, GenerateOptions, Generation, Stats } from '../../src/engine/types.ts';
import { logGpu } from './device-log.ts';
import { failure, idle, openEngine, PROMPT, run, same, until } from './engine-bench.ts';
import { memoryFolder } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

const LONG_PROMPT = Array.from({ length: 400 }, (_, i) => (i * 29 + 7) % 500);
/** Requests that run at once. */
const PLACES = 8;

/** A moment of a request's life: brings one there, beside what it needs around it. */
interface Moment {
  readonly name: string;
  readonly prompt: readonly number[];
  readonly options: GenerateOptions;
  /** Others must have every place. */
  readonly crowded?: 'yes';
  come(engine: CoreEngine, before: Stats): Promise<boolean>;
}

/** The salt keeps a prompt from being found computed. */
let salts = 0;

const MOMENTS: readonly Moment[] = [
  { name: 'at once', prompt: PROMPT, options: {}, come: async () => true },
  {
    name: 'before its logits can be adjusted',
    prompt: PROMPT,
    options: { logitBias: { 3: 1 } },
    come: async () => true,
  },
  {
    name: 'while its adapter is read',
    prompt: PROMPT,
    options: { adapter: 'silent' },
    come: async (engine) => (await engine.stats()).waiting === 1,
  },
  {
    name: 'while it waits for a place',
    prompt: PROMPT,
    options: {},
    crowded: 'yes',
    come: async (engine) => (await engine.stats()).waiting === 1,
  },
  {
    name: 'in the middle of its prompt',
    prompt: LONG_PROMPT,
    options: {},
    come: async (engine, { promptRows }) => (await engine.stats()).promptRows > promptRows + 32,
  },
  {
    name: 'in the middle of its answer',
    prompt: PROMPT,
    options: {},
    come: async (engine, { tokens }) => (await engine.stats()).tokens > tokens + 4,
  },
];

/** How a request is ended from outside, and what it then ends with. */
interface Way {
  readonly name: string;
  start(engine: CoreEngine, prompt: readonly number[], options: GenerateOptions): { generation: Generation; end(): void };
  readonly error: string;
}

const WAYS: readonly Way[] = [
  {
    name: 'by its signal',
    error: 'Error: enough',
    start: (engine, prompt, options) => {
      const stop = new AbortController();
      const generation = engine.generate(prompt, { ...options, signal: stop.signal });
      return { generation, end: () => stop.abort(new Error('enough')) };
    },
  },
  {
    name: 'by leaving its loop while a read waits',
    error: 'AbortError',
    start: (engine, prompt, options) => {
      const generation = engine.generate(prompt, options);
      const reader = generation[Symbol.asyncIterator]();
      const read = async (): Promise<void> => {
        while (!(await reader.next()).done);
      };
      void read();
      return { generation, end: () => void reader.return!() };
    },
  },
];

async function checkMoment(engine: CoreEngine, moment: Moment, way: Way): Promise<void> {
  const crowd = moment.crowded === 'yes' ? Array.from({ length: PLACES }, () => new AbortController()) : [];
  const others = crowd.map(({ signal }) => failure(run(engine, { maxTokens: 400, signal })));
  if (crowd.length > 0) await until(async () => (await engine.stats()).running === PLACES);
  const before = await engine.stats();
  const options: GenerateOptions = { ignoreEos: true, maxTokens: 100, cacheSalt: `moment ${salts++}`, ...moment.options };
  const { generation, end } = way.start(engine, moment.prompt, options);
  await until(() => moment.come(engine, before));
  end();
  const { running, waiting, pages, steps } = await engine.stats();
  const what = `${moment.name}, ${way.name}`;
  same([running, waiting], [crowd.length, 0], `running and waiting after an end ${what}`);
  if (crowd.length === 0) same(pages.kv - pages.idle, 0, `pages held after an end ${what}`);
  const error = await failure(generation.result());
  check(String(error).startsWith(way.error), () => `${what}: it ended with ${String(error)}, expected ${way.error}`);
  for (const stop of crowd) stop.abort();
  await Promise.all(others);
  await idle(engine);
  if (crowd.length > 0) return;
  await new Promise((resolve) => setTimeout(resolve, 20));
  const late = (await engine.stats()).steps - steps;
  check(late <= 3, () => `${what}: ${late} steps came back after it had ended`); // those that were in flight
}

async function checkMoments(engine: CoreEngine): Promise<void> {
  const expected = await run(engine, { cacheSalt: 'first' });
  const never = new Promise<never>(() => undefined);
  await engine.adapters.add('silent', { ...memoryFolder('silent', {}), size: () => never });
  for (const moment of MOMENTS) for (const way of WAYS) await checkMoment(engine, moment, way);
  await engine.adapters.remove('silent');
  same((await run(engine, { cacheSalt: 'last' })).tokens, expected.tokens, 'tokens after all of them');
  await idle(engine);
}

/** Every moment at once, while steps are in flight. */
async function checkClose(environment: Environment): Promise<void> {
  const gpu = logGpu(environment.gpu);
  const engine = await openEngine(environment, { gpu });
  const never = new Promise<never>(() => undefined);
  await engine.adapters.add('silent', { ...memoryFolder('silent', {}), size: () => never });
  const long = { maxTokens: 100 };
  const asked = [
    ...Array.from({ length: PLACES }, (_, i) => run(engine, long, [i + 3])),
    ...Array.from({ length: PLACES }, (_, i) => run(engine, long, LONG_PROMPT.slice(i))),
    run(engine, { ...long, adapter: 'silent' }),
    run(engine, { ...long, logitBias: { 3: 1 } }),
    engine.adapters.load('silent'),
  ].map(failure);
  await until(async () => (await engine.stats()).tokens > 20);
  asked.push(failure(run(engine, { ...long, logitBias: { 3: 1 } })));
  await engine.close();
  for (const error of await Promise.all(asked)) same(error.code, 'closed', 'how it ended');
  same([gpu.liveDevices(), gpu.liveBuffers()], [0, []], 'devices and buffers after close()');
}

/** A stream that nobody reads holds nobody up, and keeps what it got. */
async function checkUnread(engine: CoreEngine): Promise<void> {
  const unread = engine.generate(PROMPT, { ignoreEos: true, maxTokens: 40 });
  engine.generate(PROMPT, { adapter: 'nobody' }); // its error, too
  const read = await run(engine, { maxTokens: 60 });
  await until(async () => (await engine.stats()).running === 0);
  await idle(engine);
  const chunks = [];
  for await (const chunk of unread) chunks.push(chunk);
  same(chunks.length, 1, 'chunks of a stream that was read late');
  same([chunks[0]!.tokens, chunks[0]!.finish], [read.tokens.slice(0, 40), 'length'], 'what it holds');
  same((await unread.result()).tokens, chunks[0]!.tokens, 'its result');
}

/** Requests that end from outside, at every moment of their life. */
export function cancelCases(environment: Environment, engine: () => Promise<CoreEngine>): Case[] {
  return [
    { name: 'requests that end from outside leave nothing, whenever', run: async () => checkMoments(await engine()) },
    { name: 'a stream that nobody reads', run: async () => checkUnread(await engine()) },
    { name: 'close() with requests at every moment', run: () => checkClose(environment) },
  ];
}
