import type { CoreEngine, GenerateOptions } from '../../src/engine/types.ts';
import { LLAMA } from './adapters.ts';
import { failsWith, failure, idle, openEngine, PROMPT, run, same, until } from './engine-bench.ts';
import { memoryFolder, source } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

/** How many may wait in the engine of these cases; one runs. */
const QUEUE = 20;

/** A request that keeps the only place until it is stopped. */
async function occupy(engine: CoreEngine): Promise<{ stop(): Promise<void> }> {
  const busy = new AbortController();
  const ended = failure(run(engine, { maxTokens: 400, signal: busy.signal }));
  await until(async () => (await engine.stats()).running === 1);
  return {
    stop: async () => {
      busy.abort();
      await ended;
    },
  };
}

/** Names in the order in which their requests end, all of them queued while another runs. */
async function order(engine: CoreEngine, asked: readonly (readonly [string, GenerateOptions])[]): Promise<readonly string[]> {
  const ended: string[] = [];
  const first = await occupy(engine);
  const all = asked.map(async ([name, options]) => {
    await run(engine, options);
    ended.push(name);
  });
  same((await engine.stats()).waiting, asked.length, 'waiting');
  await first.stop();
  await Promise.all(all);
  await idle(engine);
  return ended;
}

async function checkPriorities(engine: CoreEngine): Promise<void> {
  const given = [2, 0, -1, 1, 0];
  const ended = await order(
    engine,
    given.map((priority, i) => [`${priority}/${i}`, { priority, tenant: String(i % 2), maxTokens: 3 }]),
  );
  same(ended, ['-1/2', '0/1', '0/4', '1/3', '2/0'], 'the order of their ends');
}

/** `heavy` has weight 3. */
async function checkTenants(engine: CoreEngine): Promise<void> {
  const ended = await order(
    engine,
    Array.from({ length: 16 }, (_, i) => {
      const tenant = i < 8 ? 'light' : 'heavy';
      return [tenant, { tenant, maxTokens: 4 }];
    }),
  );
  const heavy = ended.slice(0, 8).filter((tenant) => tenant === 'heavy').length;
  check(heavy === 6 || heavy === 5, () => `among the first 8 answers ${heavy} went to the tenant of weight 3 beside one of weight 1`);
}

async function checkOverload(engine: CoreEngine): Promise<void> {
  const before = (await engine.stats()).overloaded;
  const first = await occupy(engine);
  const leave = new AbortController();
  const waiting = Array.from({ length: QUEUE }, () => failure(run(engine, { signal: AbortSignal.any([leave.signal]) })));
  await failsWith(run(engine), 'overloaded', 'limits.queue', String(QUEUE));
  await failsWith(run(engine, { logitBias: { 3: 1 } }), 'overloaded');
  leave.abort();
  await Promise.all(waiting);
  await first.stop();
  await idle(engine);
  // requests that the device must first make room for count from the moment they come; one of them has the free place
  const biased = Array.from({ length: QUEUE + 6 }, () => run(engine, { maxTokens: 1, logitBias: { 3: 1 } }));
  const results = await Promise.allSettled(biased);
  same(results.map(({ status }) => status).filter((status) => status === 'rejected').length, 5, 'refused among those with a bias');
  same((await engine.stats()).overloaded - before, 7, 'overloaded in stats');
  await idle(engine);
}

async function checkDeadlines(engine: CoreEngine): Promise<void> {
  const before = (await engine.stats()).deadlineExceeded;
  const first = await occupy(engine);
  await failsWith(run(engine, { firstTokenDeadlineMs: 30 }), 'deadline_exceeded', '30');
  same((await engine.stats()).running, 1, 'running beside it');
  const patient = run(engine, { firstTokenDeadlineMs: 600_000 });
  const endless = run(engine, { firstTokenDeadlineMs: Number.MAX_SAFE_INTEGER });
  await first.stop();
  same([(await patient).tokens.length, (await endless).tokens.length], [8, 8], 'tokens of those in time');
  same((await engine.stats()).deadlineExceeded - before, 1, 'deadlines in stats');
  await idle(engine);
}

/** More adapters than are read at once, whose origins never answer: their requests end in time, with no step, and are not in the way. */
async function checkSilentOrigins(environment: Environment, engine: CoreEngine): Promise<void> {
  const never = new Promise<never>(() => undefined);
  const ids = Array.from({ length: 9 }, (_, i) => `silent ${i}`);
  for (const id of ids) await engine.adapters.add(id, { ...memoryFolder(id, {}), size: () => never });
  await engine.adapters.add('good', await source(environment, `${LLAMA}/adapters/r3-qv`));
  const { steps } = await engine.stats();
  const began = performance.now();
  const asked = ids.map((adapter) => failsWith(run(engine, { adapter, firstTokenDeadlineMs: 100 }), 'deadline_exceeded', '100'));
  await Promise.all(asked);
  check(performance.now() - began < 10_000, () => `the deadlines of 100 ms were heard after ${performance.now() - began} ms`);
  same((await engine.stats()).steps, steps, 'steps meanwhile');
  await idle(engine);
  const leave = new AbortController();
  const hanging = ids.map((adapter) => failure(run(engine, { adapter, signal: AbortSignal.any([leave.signal]) })));
  await until(async () => (await engine.stats()).waiting === ids.length);
  same((await run(engine)).tokens.length, 8, 'tokens of the base beside them');
  leave.abort();
  await Promise.all(hanging);
  same((await run(engine, { adapter: 'good', firstTokenDeadlineMs: 20_000 })).tokens.length, 8, 'tokens of an adapter after them');
  for (const id of [...ids, 'good']) await engine.adapters.remove(id);
  await idle(engine);
}

/** The engine has `limits.adapters` 2. */
async function checkAdapters(environment: Environment, engine: CoreEngine): Promise<void> {
  for (const id of ['r8-all', 'r3-qv', 'rank-pattern']) await engine.adapters.add(id, await source(environment, `${LLAMA}/adapters/${id}`));
  const blend = (...ids: readonly string[]): GenerateOptions => ({ adapter: ids.map((id) => ({ id, scale: 0.3 })) });
  await failsWith(run(engine, blend('r8-all', 'r3-qv', 'rank-pattern')), 'request_invalid', 'limits.adapters', '3', '2');
  same((await failure(run(engine, blend('r8-all', 'r3-qv', 'rank-pattern')))).param, 'adapter', 'its param');
  same((await run(engine, blend('r8-all', 'r3-qv', 'r8-all'))).tokens.length, 8, 'tokens of two adapters, one of them twice');
  const others = ['r8-all', 'r3-qv', 'rank-pattern'].map((adapter) => run(engine, { adapter }, PROMPT));
  for (const { tokens } of await Promise.all(others)) same(tokens.length, 8, 'tokens of three in turn');
  await idle(engine);
}

/** Who waits for what, in an engine that runs one request at a time. The last case closes it. */
export function queueCases(environment: Environment): Case[] {
  let opened: Promise<CoreEngine> | undefined;
  const limits = { sequences: 1, queue: QUEUE, adapters: 2, batchRows: 32 };
  const engine = (): Promise<CoreEngine> => (opened ??= openEngine(environment, { limits, fairness: { tenants: { heavy: 3 } } }));
  return [
    { name: 'lower priority numbers go first', run: async () => checkPriorities(await engine()) },
    { name: 'tenants share by weight', run: async () => checkTenants(await engine()) },
    { name: 'one more than may wait is refused', run: async () => checkOverload(await engine()) },
    { name: 'a deadline ends who waits', run: async () => checkDeadlines(await engine()) },
    { name: 'origins that never answer', run: async () => checkSilentOrigins(environment, await engine()) },
    { name: 'a blend of more adapters than may run is refused', run: async () => checkAdapters(environment, await engine()) },
    { name: 'the queue closes', run: async () => (await engine()).close() },
  ];
}
