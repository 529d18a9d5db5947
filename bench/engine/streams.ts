import type { Engine, GpuProvider } from 'weblora';
import { median, quantile, ratios } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import { ADAPTERS, follow, gaps, openEngine, randomTokens, type Timeline } from './frontdesk.ts';

const PROMPT_TOKENS = 400;
const STREAM_PROMPT_TOKENS = 12;
/** Tokens of each stream: before its gaps count, gaps without the prompt in two halves, and after the prompt's first token. */
const WARM = 6;
const HALF = 12;
const AFTER = 3;

interface Pair {
  /** Milliseconds: median gap before the prompt (and of its two halves), p99 of gaps before and while the prompt is computed. */
  readonly before: number;
  readonly halves: readonly [number, number];
  readonly longestBefore: number;
  readonly longest: number;
  /** From the prompt's call to its first token, with nobody else, once more, and beside the streams. */
  readonly alone: number;
  readonly aloneAgain: number;
  readonly beside: number;
}

/** What a prompt of 400 tokens does to eight streams, and they to it. */
export async function streams(gpu: GpuProvider, pairs: number): Promise<Row[]> {
  await verify(gpu);
  const engine = await openEngine(gpu);
  try {
    await measure(engine, 0); // warms up
    const found: Pair[] = [];
    for (let pair = 1; pair <= pairs; pair++) found.push(await measure(engine, pair));
    return rowsOf(found);
  } finally {
    await engine.close();
  }
}

/** Every stream's answer, and the prompt's, is the one that the same request gets alone. Throws `Error` where one is not. */
async function verify(gpu: GpuProvider): Promise<void> {
  const engine = await openEngine(gpu, { deterministic: true });
  try {
    const alone: (readonly number[])[] = [];
    const all = [...ADAPTERS.map((_, i) => i), ADAPTERS.length];
    const tokens = 24;
    const ask = (i: number): Timeline =>
      i < ADAPTERS.length ? stream(engine, i, i, tokens) : follow(engine, randomTokens(PROMPT_TOKENS, 50), { maxTokens: 4 });
    for (const i of all) {
      const one = ask(i);
      await one.done;
      alone.push(one.tokens);
    }
    const together = all.slice(0, -1).map(ask);
    await Promise.all(together.map((one) => one.reached(4)));
    together.push(ask(ADAPTERS.length));
    await Promise.all(together.map(({ done }) => done));
    for (const [i, one] of together.entries()) {
      if (one.tokens.join() === alone[i]!.join()) continue;
      throw new Error(`${ADAPTERS[i] ?? 'the prompt'} answers ${one.tokens.join(' ')} beside the others, ${alone[i]!.join(' ')} alone`);
    }
  } finally {
    await engine.close();
  }
}

const stream = (engine: Engine, i: number, seed: number, maxTokens: number): Timeline =>
  follow(engine, randomTokens(STREAM_PROMPT_TOKENS, seed), { adapter: ADAPTERS[i]!, maxTokens });

/** Milliseconds to the first token of a prompt that no one has asked before. */
async function firstToken(engine: Engine, seed: number): Promise<number> {
  const began = performance.now();
  const prompt = follow(engine, randomTokens(PROMPT_TOKENS, seed), { maxTokens: 1 });
  await prompt.done;
  return prompt.times[0]! - began;
}

async function measure(engine: Engine, pair: number): Promise<Pair> {
  const seed = 1000 + pair * 20;
  const alone = await firstToken(engine, seed);
  const aloneAgain = await firstToken(engine, seed + 1);
  const running = ADAPTERS.map((_, i) => stream(engine, i, seed + 3 + i, 450));
  const count = (): number => Math.min(...running.map(({ times }) => times.length));
  const all = (tokens: number): Promise<unknown> => Promise.all(running.map((one) => one.reached(tokens)));
  const between = (from: number, to: number): number[] => running.flatMap((one) => gaps(one, from, to));
  try {
    await all(WARM);
    const from = performance.now();
    await all(WARM + HALF);
    const middle = performance.now();
    await all(WARM + 2 * HALF);
    const arrival = performance.now();
    const beside = await firstToken(engine, seed + 2);
    await all(count() + AFTER);
    const before = between(from, arrival);
    const during = between(arrival, arrival + beside);
    return {
      before: median(before),
      halves: [median(between(from, middle)), median(between(middle, arrival))],
      longestBefore: quantile(before, 0.99),
      longest: quantile(during, 0.99),
      alone,
      aloneAgain,
      beside,
    };
  } finally {
    await Promise.all(running.map((one) => one.stop()));
  }
}

function rowsOf(pairs: readonly Pair[]): Row[] {
  const ms = (name: string, of: (pair: Pair) => number): Row => ({ name, value: median(pairs.map(of)), unit: 'ms' });
  const ratio = (name: string, of: (pair: Pair) => number, to: (pair: Pair) => number): Row => {
    const { median: value, ...spread } = ratios(pairs.map((pair) => ({ of: of(pair), to: to(pair) })));
    return { name, value, unit: 'ratio', ...spread };
  };
  return [
    ms('streams/gap before', (pair) => pair.before),
    ms('streams/longest gap before', (pair) => pair.longestBefore),
    ms('streams/longest gap', (pair) => pair.longest),
    ms('streams/first token alone', (pair) => pair.alone),
    ms('streams/first token', (pair) => pair.beside),
    ratio(
      'streams/gap before of gap before (A/A)',
      (pair) => pair.halves[1],
      (pair) => pair.halves[0],
    ),
    ratio(
      'streams/longest gap before of gap before',
      (pair) => pair.longestBefore,
      (pair) => pair.before,
    ),
    gate(
      ratio(
        'streams/longest gap of gap before',
        (pair) => pair.longest,
        (pair) => pair.before,
      ),
      '<= 2.5',
    ),
    ratio(
      'streams/first token alone of alone (A/A)',
      (pair) => pair.aloneAgain,
      (pair) => pair.alone,
    ),
    gate(
      ratio(
        'streams/first token of alone',
        (pair) => pair.beside,
        (pair) => pair.alone,
      ),
      '<= 3',
    ),
  ];
}
