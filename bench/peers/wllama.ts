import { GGUF_ADDRESS, type GgufPeer, type GgufSubject, type Position, type TextPrompt, type TimedAnswer } from './gguf-subject.ts';
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
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number };
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
  // where it finds no GPU it computes on the CPU, whatever it was told
  const isOnGpu = lines.some((line) => /WebGPU\S* .*buffer size/.test(line));
  if (isOnGpu !== layers > 0) {
    const why = lines.find((line) => /ggml_webgpu: /.test(line)) ?? 'no buffer of it is on the GPU';
    throw new Error(`wllama does not compute where it was told to: ${why}`);
  }
  return {
    about: `llama.cpp ${Wllama.getLibllamaVersion()}, ${wllama.getNumThreads()} threads, n_gpu_layers ${layers}`,
    examine: (prompt, tokens) => examine(wllama, prompt, tokens),
    answer: (prompt, tokens) => answer(wllama, prompt, tokens),
  };
}

const greedy = (prompt: TextPrompt, tokens: number): Readonly<Record<string, unknown>> => ({
  prompt: prompt.text,
  max_tokens: tokens,
  temperature: 0,
  cache_prompt: false,
});

async function examine(wllama: Wllama, prompt: TextPrompt, tokens: number): Promise<readonly Position[]> {
  const { choices, usage } = await wllama.createCompletion({ ...greedy(prompt, tokens), logprobs: TOP });
  const content = choices[0]?.logprobs?.content;
  checkPrompt(prompt, usage);
  if (!content) throw new Error(`wllama gave no log-probabilities: ${JSON.stringify(choices).slice(0, 200)}`);
  return content.map(({ id, top_logprobs: top }) => ({
    token: id,
    top: top.map((one) => ({ token: one.id, logprob: one.logprob })),
  }));
}

function checkPrompt({ text, tokens }: TextPrompt, usage: Completion['usage']): void {
  if (usage?.prompt_tokens === tokens.length) return;
  throw new Error(`wllama makes ${usage?.prompt_tokens} tokens of ${JSON.stringify(text)}, we ${tokens.length}`);
}

async function answer(wllama: Wllama, prompt: TextPrompt, tokens: number): Promise<TimedAnswer> {
  const times: number[] = [];
  const texts: string[] = [];
  let used: Completion['usage'];
  const onData = ({ choices, usage }: Completion): void => {
    const text = choices[0]?.text ?? '';
    used = usage ?? used;
    texts.push(text);
    if (text !== '') times.push(performance.now());
  };
  const began = performance.now();
  await wllama.createCompletion({ ...greedy(prompt, tokens), stream: true, stream_options: { include_usage: true }, onData });
  checkPrompt(prompt, used);
  if (used?.completion_tokens !== tokens) {
    throw new Error(`wllama's answer has ${used?.completion_tokens} tokens; ${tokens} were asked for`);
  }
  return { said: texts.join(''), first: times[0]! - began, rest: times.at(-1)! - times[0]! };
}
