import { GGUF_ADDRESS, type GgufPeer, type GgufSubject, type Position, type TimedAnswer } from './gguf-subject.ts';
import type { Setting } from './subject.ts';

/** Of wllama, what is used here: its own types come with a package that the library's checks do without. */
interface Library {
  readonly Wllama: {
    new (paths: { default: string }, config: { logger: Logger }): Wllama;
    getLibllamaVersion(): string;
  };
}

type Logger = Readonly<Record<'debug' | 'log' | 'warn' | 'error', (...words: unknown[]) => void>>;

interface Wllama {
  loadModel(files: readonly Blob[], options: Readonly<Record<string, unknown>>): Promise<void>;
  getNumThreads(): number;
  createCompletion(options: Readonly<Record<string, unknown>>): Promise<Completion>;
}

interface Completion {
  readonly choices: readonly { readonly text: string; readonly logprobs?: { readonly content: readonly Logprob[] } | null }[];
  readonly usage?: { readonly completion_tokens: number };
}

interface Logprob {
  readonly id: number;
  readonly top_logprobs: readonly { readonly id: number; readonly logprob: number }[];
}

const FOLDER = '/packages/@wllama/wllama/esm';
/** Likeliest tokens of a position that are looked at. */
const TOP = 8;
const CONTEXT = 1024;
/** More layers than any model has: what it takes for "all". */
const ALL_LAYERS = 99_999;

/** wllama in this page. Nothing is taken from earlier prompts, and one request runs at a time. Throws what its loading throws. */
export async function openWllama(peer: GgufPeer, { threads }: Setting): Promise<GgufSubject> {
  // a package of its own that no build of ours looks into
  const address = `${FOLDER}/index.js`;
  const { Wllama } = (await import(/* @vite-ignore */ address)) as Library;
  const lines: string[] = [];
  const note = (...words: unknown[]): void => void lines.push(words.join(' '));
  const wllama = new Wllama(
    { default: `${location.origin}${FOLDER}/wasm/wllama.wasm` },
    { logger: { debug: note, log: note, warn: note, error: note } },
  );
  const file = await (await fetch(GGUF_ADDRESS)).blob();
  const layers = peer === 'wllama on the CPU' ? 0 : ALL_LAYERS;
  await wllama.loadModel([file], { n_gpu_layers: layers, n_threads: threads, n_ctx: CONTEXT, n_parallel: 1 });
  const offloaded = lines.map((line) => /offloaded \d+\/\d+ layers/.exec(line)?.[0]).find((found) => found !== undefined);
  return {
    about: `llama.cpp ${Wllama.getLibllamaVersion()}, ${wllama.getNumThreads()} threads, ${offloaded ?? `n_gpu_layers ${layers}`}`,
    examine: (prompt, tokens) => examine(wllama, prompt, tokens),
    answer: (prompt, tokens) => answer(wllama, prompt, tokens),
  };
}

const greedy = (prompt: readonly number[], tokens: number): Readonly<Record<string, unknown>> => ({
  prompt,
  max_tokens: tokens,
  temperature: 0,
  cache_prompt: false,
});

async function examine(wllama: Wllama, prompt: readonly number[], tokens: number): Promise<readonly Position[]> {
  const { choices } = await wllama.createCompletion({ ...greedy(prompt, tokens), logprobs: TOP });
  const content = choices[0]?.logprobs?.content;
  if (!content) throw new Error(`wllama gave no log-probabilities: ${JSON.stringify(choices).slice(0, 200)}`);
  return content.map(({ id, top_logprobs: top }) => ({
    token: id,
    top: top.map((one) => ({ token: one.id, logprob: one.logprob })),
  }));
}

async function answer(wllama: Wllama, prompt: readonly number[], tokens: number): Promise<TimedAnswer> {
  const times: number[] = [];
  const texts: string[] = [];
  let count = 0;
  const onData = ({ choices, usage }: Completion): void => {
    const text = choices[0]?.text ?? '';
    count = usage?.completion_tokens ?? count;
    texts.push(text);
    if (text !== '') times.push(performance.now());
  };
  const began = performance.now();
  await wllama.createCompletion({ ...greedy(prompt, tokens), stream: true, stream_options: { include_usage: true }, onData });
  if (count !== tokens) throw new Error(`wllama's answer has ${count} tokens; ${tokens} were asked for`);
  return { said: texts.join(''), first: times[0]! - began, rest: times.at(-1)! - times[0]! };
}
