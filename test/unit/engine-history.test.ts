import { expect, test } from 'vitest';
import { memoryStore } from '../../src/adapters/store.ts';
import type { GenerateOptions } from '../../src/engine/types.ts';
import type { Folder } from '../../src/formats/folder.ts';
import { createRandom, type Random } from './core-random.ts';
import { answer, dropped, open, type Opened } from './tiers-harness.ts';

const HISTORIES = process.env['WEBLORA_SLOW'] ? 200 : 8;
/** Nothing waits for so long, however busy the machine is. */
const SETTLE_MS = 60_000;
/** The last two are known to `resolve` alone, where there is one. */
const IDS = ['a', 'b', 'c', 'd', 'e', 'y', 'z'];
/** What a call may end in; anything else, such as a TypeError, is a mistake of ours. */
const ENDS = [
  ...['adapter_busy', 'adapter_exists', 'adapter_unknown', 'closed', 'deadline_exceeded', 'out_of_memory', 'overloaded', 'request_invalid'],
  ...['left', 'the origin broke'],
];

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A folder that answers late, and now and then not at all. */
function unreliable(folder: Folder, random: Random): Folder {
  return {
    ...folder,
    read: async (...where) => {
      if (random.chance(0.5)) await pause(random.below(5));
      if (random.chance(0.03)) throw new Error('the origin broke');
      return folder.read(...where);
    },
  };
}

function opened(random: Random): Promise<Opened> {
  const resolve = async (id: string): Promise<Folder | undefined> => {
    await pause(random.below(5));
    return id < 'y' || random.chance(0.2) ? undefined : unreliable(dropped(`of ${id}`, id === 'y' ? 20 : 21), random);
  };
  return open({
    pages: random.between(6, 36),
    slots: random.between(3, 8),
    writeMs: random.pick([0, 0, 1, 2]),
    limits: {
      sequences: random.between(1, 6),
      adapters: random.between(1, 3),
      batchRows: random.between(4, 24),
      prefillChunk: random.between(1, 8),
      queue: 30,
    },
    memory: { heap: random.pick([0, 768, 2000, 1 << 20]), disk: random.pick([2000, 1 << 20]) },
    prefixCache: random.chance(0.8),
    ...(random.chance(0.5) && { store: memoryStore() }),
    ...(random.chance(0.5) && { resolve }),
  });
}

/** Calls that have not settled, and mistakes. */
interface Watch {
  readonly open: Set<string>;
  readonly wrong: string[];
  follow(what: string, call: Promise<unknown>): void;
}

function watch(): Watch {
  const open = new Set<string>();
  const wrong: string[] = [];
  let calls = 0;
  const settled = (what: string, error?: unknown): void => {
    open.delete(what);
    const { code, message = String(error) } = (error ?? {}) as { code?: unknown; message?: string };
    if (error !== undefined && !ENDS.includes(String(code ?? message))) wrong.push(`${what}: ${message}`);
  };
  return {
    open,
    wrong,
    follow: (what, call) => {
      const name = `${++calls} ${what}`;
      open.add(name);
      call.then(
        () => settled(name),
        (error: unknown) => settled(name, error ?? 'nothing'),
      );
    },
  };
}

/** A request, read or waited for, with what it must answer where that is certain. */
function ask({ engine }: Opened, random: Random, signal: AbortSignal, { follow, wrong }: Watch, expected: Map<string, number[]>): void {
  const id = random.pick(IDS);
  const blend = [
    { id, scale: 1 },
    { id: random.pick(IDS), scale: 0.5 },
  ];
  const adapter = random.chance(0.1) ? undefined : random.chance(0.2) ? blend : id;
  const shared = random.chance(0.7);
  const prompt = Array.from({ length: random.between(1, random.chance(0.3) ? 80 : 30) }, (_, i) => (shared ? i + 1 : random.below(50)));
  const options: GenerateOptions = {
    ...{ maxTokens: random.between(1, 40), signal, priority: random.below(3), tenant: `t${random.below(3)}` },
    ...(adapter && { adapter }),
    ...(random.chance(0.1) && { firstTokenDeadlineMs: random.between(1, 30) }),
    ...(random.chance(0.1) && { presencePenalty: 1 }),
  };
  const generation = engine.generate(prompt, options);
  const chunks = random.below(20);
  if (random.chance(0.2)) {
    const read = async (): Promise<void> => {
      let count = 0;
      for await (const _ of generation) if (++count > chunks) break;
    };
    return follow(`read ${JSON.stringify(adapter)}`, read());
  }
  const answers = typeof adapter === 'string' ? expected.get(adapter) : undefined;
  const check = generation.result().then(({ tokens }) => {
    const all = new Set(tokens);
    if (answers && (all.size > 1 || !answers.includes(tokens[0]!))) wrong.push(`${id} answered ${[...all]}, not one of ${answers}`);
  });
  follow(`answer of ${JSON.stringify(adapter)}`, check);
}

async function live(seed: number, answers: readonly number[]): Promise<void> {
  const random = createRandom(seed);
  const engine = await opened(random);
  const { adapters, device } = engine;
  const calls = watch();
  const { follow } = calls;
  /** What an id may answer: whatever was ever added under it. */
  const expected = new Map([
    ['y', [answers[20]!]],
    ['z', [answers[21]!]],
  ]);
  const leave: AbortController[] = [new AbortController()];
  const add = (id: string): void => {
    const made = random.below(12);
    expected.set(id, [...(expected.get(id) ?? []), answers[made]!]);
    follow(`add ${id}`, adapters.add(id, unreliable(dropped(`f${made}`, made), random), { replace: random.chance(0.5) }));
  };
  for (const id of ['a', 'b', 'c']) add(id);
  for (let step = random.between(60, 140); step > 0; step--) {
    const id = random.pick(IDS);
    const what = random.below(100);
    if (what < 50) {
      leave.push(new AbortController());
      ask(engine, random, leave.at(-1)!.signal, calls, expected);
    } else if (what < 58) add(id);
    else if (what < 64) follow(`load ${id}`, adapters.load(id));
    else if (what < 68) follow(`pin ${id}`, adapters.pin(id));
    else if (what < 72) follow(`unpin ${id}`, adapters.unpin(id));
    else if (what < 78) follow(`unload ${id}`, adapters.unload(id));
    else if (what < 82) follow(`remove ${id}`, adapters.remove(id));
    else if (what < 96) random.pick(leave).abort(new Error('left'));
    else if (what < 98) device.lose();
    if (random.chance(0.3)) await pause(random.below(4));
    else if (random.chance(0.5)) await Promise.resolve();
  }
  if (random.chance(0.2)) follow('close', engine.close());
  for (const until = Date.now() + SETTLE_MS; calls.open.size > 0 && Date.now() < until;) await pause(2);
  const state = calls.open.size > 0 ? JSON.stringify(await engine.engine.stats().catch(String)) : '';
  expect([...calls.open], `history ${seed}: never settled; ${state}`).toEqual([]);
  expect(calls.wrong, `history ${seed}`).toEqual([]);
  const left = await engine.engine.stats().catch(() => undefined);
  if (left) {
    expect([left.running, left.waiting, left.pages.kv], `history ${seed}: left behind`).toEqual([0, 0, left.pages.idle]);
    for (const { id } of await adapters.list()) await adapters.remove(id);
    const { pages, tiers, registered } = await engine.engine.stats();
    expect([pages.adapters, tiers.heap.bytes, registered], `history ${seed}: left behind by adapters`).toEqual([0, 0, 0]);
  }
  await engine.close();
}

test(`of calls made at random every one settles, answers as it should and leaves nothing behind (${HISTORIES} histories)`, async () => {
  const answers = await Promise.all(Array.from({ length: 22 }, (_, seed) => answer(seed)));
  for (let seed = 1; seed <= HISTORIES; seed++) await live(seed, answers);
}, 600_000);
