import type { Engine } from 'weblora';
import { randomTokens } from '../timeline.ts';
import { openStage, PLACES, type Place, type Setting, type Stage } from './stage.ts';

const PROMPT_TOKENS = 16;
const COPY_DST = 0x8;

/** Where a load begins. */
export const SOURCES = ['heap', 'disk', 'origin'] as const;
type Source = (typeof SOURCES)[number];

/** Milliseconds. */
export interface LoadTime {
  /** `load()`, and the same bytes copied on the same way: read or fetched, and written to the GPU. */
  readonly load: number;
  readonly raw: number;
}

/** One round: the first token of a prompt by where its adapter is (`again`: resident once more), and loads without a request. */
export interface Round {
  readonly use: Readonly<Record<Place | 'again', number>>;
  readonly loads: Readonly<Record<Source, LoadTime>>;
}

export interface FirstUse {
  readonly id: string;
  readonly bytes: number;
  readonly rounds: readonly Round[];
}

/** Times first tokens and loads of one adapter, after it answered the same from wherever it came. Throws `Error` where it did not. */
export async function firstUse(setting: Setting, id: string, other: string, pairs: number): Promise<FirstUse> {
  const stage = await openStage(setting, id, other);
  try {
    await verify(stage, id);
    const rounds: Round[] = [];
    // the first round warms up
    for (let round = 0; round <= pairs; round++) {
      const found = { use: await useRound(stage, id, round), loads: await loadRound(setting, stage, id, round) };
      if (round > 0) rounds.push(found);
    }
    return { id, bytes: stage.bytes, rounds };
  } finally {
    await stage.close();
  }
}

/** Tokens and log-probabilities are the same from everywhere, and not the base's. */
async function verify({ engine, bring, check }: Stage, id: string): Promise<void> {
  const prompt = randomTokens(PROMPT_TOKENS, 5);
  const ask = async (adapter: string | undefined, cacheSalt: string): Promise<string> => {
    const options = { ...(adapter !== undefined && { adapter }), cacheSalt, maxTokens: 8, ignoreEos: true, logprobs: 0 };
    const { tokens, logprobs } = await engine.generate(prompt, options).result();
    return JSON.stringify([tokens, logprobs!.map(({ logprob }) => logprob)]);
  };
  const base = await ask(undefined, 'base');
  const answers = new Map<Place, string>();
  for (const place of PLACES) {
    await bring(place);
    answers.set(place, await ask(id, place));
    await check(place);
  }
  for (const [place, answer] of answers) {
    if (answer === base) throw new Error(`${id} from ${place} answers as the base does: ${answer}`);
    if (answer !== answers.get('resident')) throw new Error(`${id} from ${place} answers ${answer}, resident ${answers.get('resident')}`);
  }
}

/** Everyone in turn goes first. */
const turned = <T>(list: readonly T[], by: number): T[] => list.map((_, i) => list[(i + by) % list.length]!);

async function useRound({ engine, bring, check }: Stage, id: string, round: number): Promise<Round['use']> {
  const times: Partial<Record<Place | 'again', number>> = {};
  for (const [i, what] of turned([...PLACES, 'again'] as const, round).entries()) {
    const place = what === 'again' ? 'resident' : what;
    await bring(place);
    times[what] = await firstToken(engine, id, 100 + round * 10 + i);
    await check(place);
  }
  return times as Round['use'];
}

/** Milliseconds to the first token of a prompt that nobody has asked before. */
async function firstToken(engine: Engine, adapter: string, seed: number): Promise<number> {
  const prompt = randomTokens(PROMPT_TOKENS, seed);
  const began = performance.now();
  for await (const { tokens } of engine.generate(prompt, { adapter, maxTokens: 1, ignoreEos: true })) {
    if (tokens.length > 0) return performance.now() - began;
  }
  throw new Error('A request ended without a token');
}

async function loadRound(setting: Setting, stage: Stage, id: string, round: number): Promise<Round['loads']> {
  const times: Partial<Record<Source, LoadTime>> = {};
  for (const source of turned(SOURCES, round)) {
    await stage.bring('disk'); // for its stored bytes to be there
    const raw = await timed(stage, () => copy(setting, stage, source, id));
    await stage.bring(source);
    const load = await timed(stage, () => stage.engine.adapters.load(id));
    await stage.check(source);
    times[source] = { load, raw };
  }
  return times as Round['loads'];
}

/** Milliseconds until the GPU has what was done. */
async function timed({ device }: Stage, work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  await device.queue.onSubmittedWorkDone();
  return performance.now() - began;
}

/** The bytes of a load, and nothing but them, on their way to the GPU. */
async function copy(setting: Setting, { device, digest, bytes }: Stage, source: Source, id: string): Promise<void> {
  const read = async (): Promise<Uint8Array<ArrayBuffer>> => {
    if (source === 'disk') return setting.stored(digest);
    if (source === 'heap') return new Uint8Array(bytes);
    const response = await fetch(`${setting.address(id)}/adapter_model.safetensors`, { cache: 'no-store' });
    return new Uint8Array(await response.arrayBuffer());
  };
  const found = await read();
  const size = found.length - (found.length % 4);
  const buffer = device.createBuffer({ size, usage: COPY_DST });
  device.queue.writeBuffer(buffer, 0, found, 0, size);
  await device.queue.onSubmittedWorkDone();
  buffer.destroy();
}
