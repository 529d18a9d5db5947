import type {
  AdapterInfo,
  Adapters,
  Chunk,
  CoreEngine,
  DiskStats,
  EngineEvent,
  GenerateOptions,
  Generation,
  ModelInfo,
  Prompt,
  Result,
  Stats,
  TierStats,
  TokenLogprob,
} from '../../src/engine/types.ts';
import { WebLoraError } from '../../src/errors.ts';
import type { Tokenizer } from '../../src/text/tokenizer.ts';
import { llamaConfig } from '../suites/llama-config.ts';
import { SERVING } from './doctor-report.ts';

export const END = 256;
const USER = 257;
/** No token has this id: vocabularies are padded. */
export const UNUSED = 258;
export const VOCABULARY = 259;

/** GPT-2's byte alphabet, counted off here again so that a mistake in the library's table shows. */
function letterOf(byte: number): string {
  const order = [...range(33, 126), ...range(161, 172), ...range(174, 255)];
  const others = range(0, 255).filter((value) => !order.includes(value));
  return String.fromCodePoint(order.includes(byte) ? byte : 256 + others.indexOf(byte));
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** One token per byte, spelt as byte-level tokenizers spell them. */
export const byteTokenizer: Tokenizer = {
  encode: (text) => [...new TextEncoder().encode(text)],
  decode: (ids) => new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id < 256))),
  token: (id) => (id < 256 ? letterOf(id) : id === END ? '<|end|>' : id === USER ? '<|user|>' : undefined),
  id: () => undefined,
};

export interface Call {
  readonly prompt: Prompt;
  readonly options: GenerateOptions;
}

export interface FakeEngine extends CoreEngine {
  readonly calls: readonly Call[];
  /** How many generations were ended by their signal. */
  cancelled(): number;
  closed(): boolean;
}

export interface FakeOptions {
  readonly adapters?: readonly string[];
  readonly maxModelLength?: number;
  readonly tokenizer?: 'bytes' | 'none';
  readonly defaults?: ModelInfo['defaults'];
  /** Prompt tokens that an answer found computed, by the number of the call. */
  readonly cached?: (call: number) => number;
  /** What the store's counters say; otherwise there is none. */
  readonly disk?: Partial<DiskStats>;
  /** Ids that `load` refuses, with the reason. */
  readonly broken?: Readonly<Record<string, string>>;
  /** What the model answers, by adapter id or `base`; otherwise `NAME says ECHO OF THE PROMPT`. */
  readonly answers?: Readonly<Record<string, string>>;
}

/**
 * An engine of the public contract without a model: adapter `x` answers `x says ` and the prompt, a blend is `x*0.5+y*1`. A prompt
 * with FAIL in it fails with `not_finite` at once, one with FULL with `overloaded`, one with HANG waits for its signal, one with LATE
 * answers 20 ms later than others.
 */
export function fakeEngine(options: FakeOptions = {}): FakeEngine {
  const calls: Call[] = [];
  const registered = new Map<string, AdapterInfo>(
    (options.adapters ?? []).map((id) => [id, { id, source: `/adapters/${id}`, tier: 'gpu', pinned: false }]),
  );
  const tokenizer = options.tokenizer === 'none' ? undefined : byteTokenizer;
  let cancelled = 0;
  let closed = false;
  const tokenize = async (prompt: Prompt): Promise<readonly number[]> => {
    if (typeof prompt !== 'string' && prompt.every((item) => typeof item === 'number')) return prompt as readonly number[];
    if (tokenizer === undefined) throw new WebLoraError('tokenizer_missing', 'fake has no tokenizer: give token ids');
    if (typeof prompt === 'string') return tokenizer.encode(prompt, 'special');
    const messages = prompt as readonly { readonly content: string }[];
    return [USER, ...messages.flatMap((message) => tokenizer.encode(message.content, 'plain'))];
  };
  const answer = async (prompt: Prompt, asked: GenerateOptions): Promise<Result> => {
    const cached = options.cached?.(calls.length) ?? 0;
    calls.push({ prompt, options: asked });
    if (closed) throw new WebLoraError('closed', 'the engine was closed');
    const missing = adapterIds(asked).find((id) => !registered.has(id));
    if (missing !== undefined) throw new WebLoraError('adapter_unknown', `no ${missing}`, { param: 'adapter' });
    const ids = await tokenize(prompt);
    const text = byteTokenizer.decode(ids);
    if (text.includes('FAIL')) throw new WebLoraError('not_finite', 'logits are not finite');
    if (text.includes('FULL')) throw new WebLoraError('overloaded', 'the queue is full');
    if (text.includes('LATE')) await new Promise((resolve) => setTimeout(resolve, 20));
    if (text.includes('HANG')) {
      await new Promise((resolve) => asked.signal?.addEventListener('abort', resolve, { once: true }));
      cancelled++;
      throw asked.signal?.reason;
    }
    return resultOf(ids, asked, options, tokenizer, cached);
  };
  return {
    calls,
    cancelled: () => cancelled,
    closed: () => closed,
    adapters: fakeAdapters(registered, options.broken ?? {}),
    tokenize,
    generate: (prompt, asked = {}) => generationOf(() => answer(prompt, asked)),
    model: async () => modelInfo(options, tokenizer),
    stats: async () => ({ ...STATS, tiers: { ...STATS.tiers, disk: { ...STATS.tiers.disk, ...options.disk } } }),
    events: () => noEvents(),
    text: () => ({ tokenizer, chatTemplate: undefined }),
    close: async () => void (closed = true),
    [Symbol.asyncDispose]: async () => void (closed = true),
  };
}

async function* noEvents(): AsyncGenerator<EngineEvent> {}

function tier(given: Partial<TierStats>): TierStats {
  return { hits: 0, misses: 0, loads: 0, evictions: 0, bytes: 0, budget: 0, loadMs: { p50: 0, p95: 0, max: 0 }, ...given };
}

const STATS: Stats = {
  version: 1,
  device: 'fake',
  software: true,
  precision: 'exact',
  kernels: {
    wish: 'auto',
    serving: SERVING,
    quarantined: [],
    check: 'remembered',
    checkMs: 1,
    compileMs: { embed: 12 },
  },
  steps: 3,
  promptRows: 10,
  decodeRows: 20,
  tokens: 20,
  maxBatch: { rows: 9, sequences: 9, adapters: 8 },
  running: 0,
  waiting: 0,
  oldestWaitMs: 0,
  batch: { promptRows: 3.3, decodeRows: 6.7, sequences: 8.5, adapters: 7.5 },
  tokensPerSecond: 12.5,
  firstTokenMs: { p50: 30, p95: 40, max: 50 },
  betweenTokensMs: { p50: 5, p95: 6, max: 7 },
  stepMs: { p50: 1, p95: 2, max: 3 },
  depth: 2,
  readbackMs: 0.5,
  pages: { total: 10, kv: 1, idle: 0, adapters: 1 },
  prefix: { lookedUp: 40, found: 10 },
  tiers: {
    gpu: tier({ hits: 3, misses: 1, loads: 8, evictions: 2, bytes: 3 * 2 ** 20, budget: 64 * 2 ** 20 }),
    heap: tier({ hits: 2, misses: 6, loads: 6, bytes: 2 ** 19, budget: 2 ** 28 }),
    disk: { ...tier({}), failures: 0 },
    origin: tier({ hits: 6, misses: 1, loads: 6, bytes: 9 * 2 ** 20, loadMs: { p50: 80, p95: 90, max: 100 } }),
  },
  registered: 8,
  preemptions: 4,
  overloaded: 5,
  deadlineExceeded: 6,
  deviceLosses: 0,
  busyMs: 5,
  gpuBytes: 2 ** 20,
};

function modelInfo(options: FakeOptions, tokenizer: Tokenizer | undefined): ModelInfo {
  return {
    name: 'base',
    config: llamaConfig({
      vocabSize: VOCABULARY,
      hiddenSize: 8,
      intermediateSize: 8,
      layers: 1,
      heads: 1,
      headDim: 8,
      tiedEmbeddings: true,
      contextLength: 512,
      endTokens: [END],
    }),
    maxModelLength: options.maxModelLength ?? 512,
    serves: { text: tokenizer !== undefined, chat: tokenizer !== undefined },
    defaults: options.defaults ?? {},
    ignoredDefaults: [],
  };
}

function fakeAdapters(registered: Map<string, AdapterInfo>, broken: Readonly<Record<string, string>>): Adapters {
  const load = async (id: string): Promise<AdapterInfo> => {
    const reason = broken[id];
    if (reason !== undefined) throw new WebLoraError('adapter_setting', reason);
    const info = registered.get(id);
    if (info === undefined) throw new WebLoraError('adapter_unknown', `no ${id}`);
    return info;
  };
  const setPinned = (info: AdapterInfo, pinned: boolean): AdapterInfo => {
    const changed = { ...info, pinned };
    registered.set(info.id, changed);
    return changed;
  };
  return {
    add: async (id, source) => void registered.set(id, { id, source: String(source), tier: 'origin', pinned: false }),
    load,
    pin: async (id) => setPinned(await load(id), true),
    unpin: async (id) => void setPinned(await load(id), false),
    unload: async () => undefined,
    remove: async (id) => void registered.delete(id),
    list: async ({ tier: wanted, limit } = {}) =>
      [...registered.values()].filter((info) => wanted === undefined || info.tier === wanted).slice(0, limit),
  };
}

/** The ids of the adapters that a request runs on. */
export function adapterIds({ adapter = [] }: GenerateOptions): readonly string[] {
  return typeof adapter === 'string' ? [adapter] : adapter.map(({ id }) => id);
}

/** What a request runs on, in a word. */
export function nameOf({ adapter = [] }: GenerateOptions): string {
  if (typeof adapter === 'string') return adapter;
  return adapter.length === 0 ? 'base' : adapter.map(({ id, scale }) => `${id}*${scale}`).join('+');
}

function resultOf(
  ids: readonly number[],
  asked: GenerateOptions,
  options: FakeOptions,
  tokenizer: Tokenizer | undefined,
  cached: number,
): Result {
  const name = nameOf(asked);
  const draw = (asked.temperature ?? 0) > 0 ? ` #${asked.seed}` : '';
  const whole = options.answers?.[name] ?? `${name} says ${byteTokenizer.decode(ids)}${draw}`;
  const all = [...new TextEncoder().encode(whole), END];
  const tokens = all.slice(0, asked.maxTokens ?? all.length);
  const text = tokenizer?.decode(tokens) ?? '';
  const stop = asked.stop?.find((word) => text.includes(word));
  const count = asked.logprobs;
  return {
    text: stop === undefined ? text : text.slice(0, text.indexOf(stop)),
    tokens,
    promptTokens: ids,
    finish: stop !== undefined || tokens.at(-1) === END ? 'stop' : 'length',
    ...(stop === undefined ? {} : { stopReason: stop }),
    usage: { promptTokens: ids.length, cachedTokens: cached, completionTokens: tokens.length },
    ...(count === undefined ? {} : { logprobs: tokens.map((token, index) => logprobAt(token, index, count)) }),
    ...(asked.promptLogprobs === undefined
      ? {}
      : { promptLogprobs: ids.map((token, index) => (index === 0 ? undefined : logprobAt(token, index, asked.promptLogprobs ?? 0))) }),
  };
}

/** Log-probabilities of made-up logits that put the tokens into another order at every position. */
export function logprobAt(token: number, position: number, count: number): TokenLogprob {
  const logit = (id: number): number => -((id * 50 + position * 13) % VOCABULARY) / 20;
  const ids = range(0, VOCABULARY - 1);
  const total = Math.log(ids.reduce((sum, id) => sum + Math.exp(logit(id)), 0));
  const order = ids.toSorted((a, b) => logit(b) - logit(a) || a - b);
  const top = order.slice(0, count === -1 ? VOCABULARY : count);
  return {
    token,
    logprob: Math.fround(logit(token) - total),
    rank: order.indexOf(token) + 1,
    topTokens: Uint32Array.from(top),
    topLogprobs: Float32Array.from(top, (id) => logit(id) - total),
  };
}

function generationOf(answer: () => Promise<Result>): Generation {
  let pending: Promise<Result> | undefined;
  const result = (): Promise<Result> => (pending ??= answer());
  return {
    result,
    async *[Symbol.asyncIterator](): AsyncGenerator<Chunk> {
      const { text, tokens, finish, usage } = await result();
      const half = Math.floor(text.length / 2);
      yield { text: text.slice(0, half), tokens: tokens.slice(0, half) };
      yield { text: text.slice(half), tokens: tokens.slice(half), finish, usage };
    },
  };
}
