import type { Harness } from '../../test/browser/harness.ts';
import { GGUF_SUBJECTS, type GgufName, type GgufPeer, type GgufSubject, type Position, type TextPrompt } from './gguf-subject.ts';
import type { PeerPage } from './page.ts';
import { CONVERSATIONS } from './prompts.ts';
import type { Plan } from './rounds.ts';

/** Tokens of the answer to a short prompt. */
export const ANSWER = 16;
/** Texts of prompts.ts that a long prompt is made of. */
const LONG = 5;
/** Answers that are compared before anything is timed. */
const EXAMINED = 4;
/** Quantised arithmetic on the CPU moves a log-probability by some hundredths: who prefers a token by less may be told another. */
const THIN_NATS = 0.25;
/** What a GPU in software may take to start, compile and answer once, before it counts as one that does not start. */
const START_MS = 150_000;

/** What one subject took in one round, in milliseconds. */
export interface GgufTimes {
  /** To the first token of a short prompt, for all other tokens of its answer, and to the first token of a long prompt. */
  readonly first: number;
  readonly rest: number;
  readonly prefill: number;
  /** Tokens of the long prompt. */
  readonly long: number;
}

/** A peer is timed right after us; then we are timed once more. */
export interface GgufRound {
  readonly ours: GgufTimes;
  readonly peers: Readonly<Partial<Record<GgufPeer, GgufTimes>>>;
  readonly again: GgufTimes;
}

/** How a peer's answers compare with ours. */
export interface GgufComparison {
  /** Tokens that were the same, up to the first thin margin or the end of each answer. */
  tokens: number;
  /** Answers that part where we prefer our token by less than `THIN_NATS`, or they theirs. */
  parted: number;
  /** The largest difference between both sides' log-probabilities of a token that both give, in nats. */
  largest: number;
}

export interface GgufFound {
  readonly about: Readonly<Partial<Record<GgufName, string>>>;
  readonly loads: Readonly<Partial<Record<GgufName, number>>>;
  /** Why a peer is not among those timed. */
  readonly failed: Readonly<Partial<Record<GgufPeer, string>>>;
  readonly compared: Readonly<Partial<Record<GgufPeer, GgufComparison>>>;
  readonly rounds: readonly GgufRound[];
}

/** A page with one subject, asked from here. */
interface Asked extends GgufSubject {
  readonly name: GgufName;
  readonly loadMs: number;
  prompts(texts: readonly string[]): Promise<readonly TextPrompt[]>;
  close(): Promise<void>;
}

/**
 * Opens everybody, compares their answers, and times them in turns. wllama's WebGPU may fail to start, or to answer right, on this device:
 * then it is named in `failed`. Throws `Error` where wllama's answers on the CPU, or anybody's timed ones, are others than they should be.
 */
export async function runGgufRounds(harness: Harness, plan: Plan): Promise<GgufFound> {
  const ours = await ask(harness, 'ours', plan);
  const prompts = await ours.prompts(CONVERSATIONS);
  const longOnes = await ours.prompts(
    CONVERSATIONS.map((_, i) => Array.from({ length: LONG }, (_text, k) => CONVERSATIONS.at(i - k)).join(' ')),
  );
  const right: (readonly Position[])[] = [];
  for (const prompt of prompts.slice(0, EXAMINED)) right.push(await ours.examine(prompt, ANSWER));
  const peers: Asked[] = [];
  const failed: Partial<Record<GgufPeer, string>> = {};
  const compared: Partial<Record<GgufPeer, GgufComparison>> = {};
  for (const name of GGUF_SUBJECTS.slice(1) as readonly GgufPeer[]) {
    try {
      const peer = await ask(harness, name, plan);
      compared[name] = await within(START_MS, compareWith(peer, prompts, right));
      peers.push(peer);
    } catch (error) {
      if (name === 'wllama on the CPU') throw error;
      failed[name] = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
    }
  }
  const said = new Map<string, string>();
  const rounds: GgufRound[] = [];
  for (let i = 0; i < plan.pairs; i++) {
    const long = longOnes[i % longOnes.length]!;
    const timed = (subject: Asked): Promise<GgufTimes> => timeOne(subject, prompts[i % prompts.length]!, long, said);
    const first = await timed(ours);
    const others: Partial<Record<GgufPeer, GgufTimes>> = {};
    for (const peer of peers) others[peer.name as GgufPeer] = await timed(peer);
    rounds.push({ ours: first, peers: others, again: await timed(ours) });
    console.error(`gguf round ${i + 1} of ${plan.pairs}`);
  }
  const all = [ours, ...peers];
  for (const subject of all) await subject.close();
  const about = Object.fromEntries(all.map((each) => [each.name, each.about]));
  return { about, loads: Object.fromEntries(all.map((each) => [each.name, each.loadMs])), failed, compared, rounds };
}

async function compareWith(peer: Asked, prompts: readonly TextPrompt[], right: readonly (readonly Position[])[]): Promise<GgufComparison> {
  const found: GgufComparison = { tokens: 0, parted: 0, largest: 0 };
  for (const [i, ours] of right.entries()) compareAnswers(`prompt ${i}`, peer.name, ours, await peer.examine(prompts[i]!, ANSWER), found);
  return found;
}

/** Compares two answers up to where they part. Throws `Error` where that is not at a thin margin, or numbers lie far apart before. */
export function compareAnswers(
  what: string,
  who: string,
  ours: readonly Position[],
  theirs: readonly Position[],
  found: GgufComparison,
): void {
  if (theirs.length !== ours.length) throw new Error(`${what}: ${who} answers ${theirs.length} tokens, we ${ours.length}`);
  for (const [i, { token, top }] of ours.entries()) {
    const other = theirs[i]!;
    for (const { token: each, logprob } of top.slice(0, 2)) {
      const same = other.top.find((one) => one.token === each);
      if (same) found.largest = Math.max(found.largest, Math.abs(same.logprob - logprob));
    }
    if (other.token !== token) {
      const margin = marginOf(top, token, other.token);
      if (margin > THIN_NATS) {
        throw new Error(`${what}, token ${i}: ${who} answers ${other.token}, we ${token}, which we prefer by ${margin.toFixed(3)} nats`);
      }
      found.parted++;
      return;
    }
    found.tokens++;
  }
}

/** By how many nats one token is preferred to another; Infinity where the other is not among the likeliest. */
function marginOf(top: Position['top'], token: number, other: number): number {
  const of = (wanted: number): number => top.find((each) => each.token === wanted)?.logprob ?? -Infinity;
  return of(token) - of(other);
}

/** Everything that is timed of one subject. Throws `Error` where it answers otherwise than before. */
async function timeOne(subject: Asked, prompt: TextPrompt, long: TextPrompt, said: Map<string, string>): Promise<GgufTimes> {
  await settle();
  const short = await subject.answer(prompt, ANSWER);
  const key = `${subject.name} ${prompt.text}`;
  if ((said.get(key) ?? short.said) !== short.said)
    throw new Error(`${subject.name} answers ${short.said}, and said ${said.get(key)} before`);
  said.set(key, short.said);
  await settle();
  return { first: short.first, rest: short.rest, prefill: (await subject.answer(long, 1)).first, long: long.tokens.length };
}

/** Threads of a device or of a pool look for work for a while after the last of it: not in the time of whoever is next. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 300));

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing after ${ms / 1000} s`)), ms);
  });
  work.catch(() => undefined); // it may fail after it was given up
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

interface Globals {
  readonly page: PeerPage;
}

async function ask(harness: Harness, name: GgufName, { threads }: Plan): Promise<Asked> {
  const { page, errors, close } = await harness.open('/page.html');
  await page.waitForFunction(() => 'page' in globalThis);
  const opening = page.evaluate(([name, setting]) => (globalThis as unknown as Globals).page.openGguf(name, setting), [
    name,
    { threads },
  ] as const);
  const loadMs = await within(START_MS, opening).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return {
    name,
    loadMs,
    about: await page.evaluate(() => (globalThis as unknown as Globals).page.ggufSubject().about),
    prompts: (...args) => page.evaluate((args) => (globalThis as unknown as Globals).page.ggufSubject().prompts!(...args), args),
    examine: (...args) => page.evaluate((args) => (globalThis as unknown as Globals).page.ggufSubject().examine(...args), args),
    answer: (...args) => page.evaluate((args) => (globalThis as unknown as Globals).page.ggufSubject().answer(...args), args),
    close: async () => {
      await close();
      if (errors.length > 0) throw new Error(`${name}: ${errors.join('\n')}`);
    },
  };
}
