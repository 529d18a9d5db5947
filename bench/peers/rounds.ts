import type { Page } from 'playwright';
import type { Harness } from '../../test/browser/harness.ts';
import type { PeerPage } from './page.ts';
import { CONVERSATIONS, promptOf } from './prompts.ts';
import { SUBJECTS, type Answer, type Answers, type Counts, type Manner, type Peer, type SubjectName } from './subject.ts';

/** Tokens of the prompts: of one request and of each of eight; of the long one. */
const PROMPT = 32;
export const LONG_PROMPT = 256;
export const EIGHT = CONVERSATIONS.length;

/** Tokens of the answers that a peer and we give beside one another: of one request, and of each of eight. */
export interface Sizes {
  readonly one: number;
  readonly eight: number;
}

/** On SwiftShader transformers.js takes half a second for a token. */
export const SIZES: Readonly<Record<Peer, Sizes>> = { webgpu: { one: 8, eight: 4 }, wasm: { one: 64, eight: 16 } };

/** What a run is told. */
export interface Plan {
  readonly pairs: number;
  readonly loads: number;
  readonly threads: number;
}

/** Milliseconds of everybody, once. */
export interface Load {
  readonly open: number;
  /** The first answer of one token, from its call: what is compiled for it counts. */
  readonly firstAnswer: number;
}

/** What one subject took in one round, in milliseconds. */
export interface Times {
  /** To the first token of a short prompt, then for each other token of its answer. */
  readonly first: number;
  readonly decode: number;
  /** To the first token of a long prompt. */
  readonly prefill: number;
  /** Eight requests: ours at once with eight adapters, a peer's one after another. */
  readonly eight: number;
  /** Eight requests of the base at once. */
  readonly base: number;
}

/** A peer is timed right after us, and both answer the same; then, beside the faster peer, we are timed once more. */
export interface Round {
  readonly webgpu: { readonly ours: Times; readonly peer: Times };
  readonly wasm: { readonly ours: Times; readonly peer: Times };
  readonly again: Times;
}

/** All that was found. */
export interface Found {
  readonly about: Readonly<Record<SubjectName, string>>;
  readonly loads: readonly Readonly<Record<SubjectName, Load>>[];
  readonly counts: Readonly<Record<SubjectName, Counts>>;
  readonly rounds: readonly Round[];
  /** Answers that were compared, token for token. */
  readonly compared: number;
}

/** A page with one subject, asked from here. */
interface Asked {
  readonly name: SubjectName;
  readonly about: string;
  answer(prompt: readonly number[], tokens: number): Promise<Answer>;
  answers(prompts: readonly (readonly number[])[], tokens: number, manner: Manner): Promise<Answers>;
  count(prompt: readonly number[], tokens: number): Promise<Counts>;
  close(): Promise<void>;
}

/** Loads everybody, compares their answers, and times them in turns. Throws `Error` where an answer is another's. */
export async function runRounds(harness: Harness, plan: Plan): Promise<Found> {
  const conversations = await readConversations(harness, plan);
  const loads: Record<SubjectName, Load>[] = [];
  for (let i = 0; i < plan.loads; i++) {
    const one = {} as Record<SubjectName, Load>;
    for (const name of SUBJECTS) one[name] = await timeLoad(harness, name, plan, promptOf(conversations, 0, PROMPT));
    loads.push(one);
  }
  const pages = {} as Record<SubjectName, Asked>;
  for (const name of SUBJECTS) pages[name] = (await ask(harness, name, plan)).asked;
  const { ours, webgpu, wasm } = pages;
  const counts = {} as Record<SubjectName, Counts>;
  // a prompt of one token is one step for everybody: longer ones may be cut where the machine is slow
  for (const name of SUBJECTS) counts[name] = await pages[name].count(promptOf(conversations, 0, 1), SIZES.webgpu.one);
  const answers = createComparison();
  await compareAll(pages, conversations, answers);
  const rounds: Round[] = [];
  for (let i = 0; i < plan.pairs; i++) {
    // another prompt each time
    const timed = (page: Asked, peer: Peer): Promise<Times> => timeOne(page, conversations, i, SIZES[peer], answers);
    rounds.push({
      webgpu: { ours: await timed(ours, 'webgpu'), peer: await timed(webgpu, 'webgpu') },
      wasm: { ours: await timed(ours, 'wasm'), peer: await timed(wasm, 'wasm') },
      again: await timed(ours, 'wasm'),
    });
    console.error(`round ${i + 1} of ${plan.pairs}`);
  }
  const about = { ours: ours.about, webgpu: webgpu.about, wasm: wasm.about };
  for (const name of SUBJECTS) await pages[name].close();
  return { about, loads, counts, rounds, compared: answers.count() };
}

/** Before anything is timed everybody answers everything, which warms up too; an adapter's answers are its own, alone as together. */
async function compareAll(
  { ours, webgpu, wasm }: Readonly<Record<SubjectName, Asked>>,
  conversations: readonly (readonly number[])[],
  { compare }: Comparison,
): Promise<void> {
  const prompts = shortPrompts(conversations);
  const alone = await ours.answers(prompts, SIZES.wasm.eight, 'adapters in turn');
  for (const [i, found] of alone.tokens.entries()) compare(`adapter ${i}`, 'ours, alone', found);
  const base = await ours.answers(prompts, SIZES.wasm.one, 'in turn');
  for (const [i, found] of base.tokens.entries()) {
    compare(`prompt ${i}`, 'ours, alone', found);
    if (found.slice(0, SIZES.wasm.eight).join() === alone.tokens[i]!.join()) throw new Error(`Adapter ${i} answers as the base does`);
  }
  for (const page of [webgpu, wasm]) {
    const { tokens } = await page.answers(prompts, SIZES.webgpu.eight, 'in turn');
    for (const [i, found] of tokens.entries()) compare(`prompt ${i}`, page.name, found);
  }
  for (const page of [ours, webgpu, wasm]) compare('long prompt 0', page.name, (await page.answer(longPrompt(conversations, 0), 2)).tokens);
}

const shortPrompts = (conversations: readonly (readonly number[])[]): number[][] =>
  conversations.map((_, i) => promptOf(conversations, i, PROMPT));

const longPrompt = (conversations: readonly (readonly number[])[], i: number): number[] =>
  promptOf(conversations, i % conversations.length, LONG_PROMPT);

/** Everything that is timed of one subject; the answers are compared with everybody else's. */
async function timeOne(
  page: Asked,
  conversations: readonly (readonly number[])[],
  round: number,
  sizes: Sizes,
  { compare }: Comparison,
): Promise<Times> {
  const prompts = shortPrompts(conversations);
  const i = round % prompts.length;
  await settle();
  const short = await page.answer(prompts[i]!, sizes.one);
  compare(`prompt ${i}`, page.name, short.tokens);
  await settle();
  const long = await page.answer(longPrompt(conversations, i), 1);
  compare(`long prompt ${i}`, page.name, long.tokens);
  await settle();
  const own = page.name === 'ours';
  const eight = await page.answers(prompts, sizes.eight, own ? 'adapters together' : 'in turn');
  for (const [i, found] of eight.tokens.entries()) compare(`${own ? 'adapter' : 'prompt'} ${i}`, page.name, found);
  await settle();
  const base = await page.answers(prompts, sizes.eight, 'together');
  for (const [i, found] of base.tokens.entries()) compare(`prompt ${i}`, page.name, found);
  return { first: short.first, decode: short.rest / (sizes.one - 1), prefill: long.first, eight: eight.ms, base: base.ms };
}

/** Threads of a device or of a pool look for work for a while after the last of it: not in the time of whoever is next. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 300));

interface Comparison {
  /** Throws `Error` where another answer to the same has other tokens, as far as both go. */
  compare(what: string, who: string, tokens: readonly number[]): void;
  /** Answers that had one to be compared with. */
  count(): number;
}

function createComparison(): Comparison {
  const found = new Map<string, { readonly who: string; readonly tokens: readonly number[] }>();
  let count = 0;
  return {
    compare: (what, who, tokens) => {
      const before = found.get(what);
      if (!before || before.tokens.length < tokens.length) found.set(what, { who, tokens });
      if (!before) return;
      count++;
      const common = Math.min(tokens.length, before.tokens.length);
      const cut = (list: readonly number[]): string => list.slice(0, common).join(' ');
      if (cut(before.tokens) === cut(tokens)) return;
      throw new Error(`${what}: ${before.who} answers ${cut(before.tokens)}, ${who} answers ${cut(tokens)}`);
    },
    count: () => count,
  };
}

async function readConversations(harness: Harness, plan: Plan): Promise<readonly (readonly number[])[]> {
  const { asked, page } = await ask(harness, 'ours', plan);
  const found = await page.evaluate(() => (globalThis as unknown as Globals).page.subject().conversations!());
  await asked.close();
  return found;
}

async function timeLoad(harness: Harness, name: SubjectName, plan: Plan, prompt: readonly number[]): Promise<Load> {
  const { asked, ms } = await ask(harness, name, plan);
  const { first } = await asked.answer(prompt, 1);
  await asked.close();
  return { open: ms, firstAnswer: first };
}

interface Globals {
  readonly page: PeerPage;
}

async function ask(
  harness: Harness,
  name: SubjectName,
  { threads }: Plan,
): Promise<{ readonly asked: Asked; readonly page: Page; readonly ms: number }> {
  const { page, errors, close } = await harness.open('/page.html');
  await page.waitForFunction(() => 'page' in globalThis);
  const ms = await page.evaluate(([name, setting]) => (globalThis as unknown as Globals).page.open(name, setting), [
    name,
    { threads },
  ] as const);
  const about = await page.evaluate(() => (globalThis as unknown as Globals).page.subject().about);
  const asked: Asked = {
    name,
    about,
    answer: (...args) => page.evaluate((args) => (globalThis as unknown as Globals).page.subject().answer(...args), args),
    answers: (...args) => page.evaluate((args) => (globalThis as unknown as Globals).page.subject().answers(...args), args),
    count: (...args) => page.evaluate((args) => (globalThis as unknown as Globals).page.count(...args), args),
    close: async () => {
      await close();
      if (errors.length > 0) throw new Error(`${name}: ${errors.join('\n')}`);
    },
  };
  return { asked, page, ms };
}
