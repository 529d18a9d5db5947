import type { Answer, Answers, Manner, Peer, Setting, Subject } from './subject.ts';

/** Of transformers.js, what is used here: its own types come with a package that the library's checks do without. */
interface Transformers {
  readonly env: {
    readonly version: string;
    allowLocalModels: boolean;
    allowRemoteModels: boolean;
    localModelPath: string;
    useBrowserCache: boolean;
    useWasmCache: boolean;
    readonly backends: { readonly onnx: { readonly wasm: { wasmPaths: { mjs: string; wasm: string }; numThreads: number } } };
  };
  readonly AutoModelForCausalLM: { from_pretrained(name: string, options: { device: Peer; dtype: 'fp32' }): Promise<Model> };
  readonly Tensor: new (type: 'int64', data: BigInt64Array, dims: readonly number[]) => Tensor;
}

interface Tensor {
  tolist(): bigint[][];
}

interface Model {
  generate(options: {
    inputs: Tensor;
    attention_mask: Tensor;
    max_new_tokens: number;
    do_sample: false;
    eos_token_id: null;
    streamer?: { put(tokens: unknown): void; end(): void };
  }): Promise<Tensor>;
}

const PACKAGES = '/packages';
/** ONNX Runtime's attention reckons with at least so many lanes: where there are fewer, what is behind the fourth token is wrong. */
const LEAST_LANES = 8;

/**
 * transformers.js in this page, everything it reads from this machine. Without WebGPU it gets the build that has none, whose code need not
 * stop and go on for a GPU.
 */
export async function openTransformers(peer: Peer, { threads }: Setting): Promise<Subject> {
  const lanes = peer === 'webgpu' ? await hideSmallSubgroups() : 'as they are';
  // a package of its own that no build of ours looks into
  const address = `${PACKAGES}/@xenova/transformers/dist/transformers.min.js`;
  const library = (await import(/* @vite-ignore */ address)) as Transformers;
  const { env, AutoModelForCausalLM } = library;
  Object.assign(env, {
    allowLocalModels: true,
    allowRemoteModels: false,
    localModelPath: '/models/',
    useBrowserCache: false,
    useWasmCache: false,
  });
  const build = `${location.origin}${PACKAGES}/onnxruntime-web/dist/ort-wasm-simd-threaded${peer === 'webgpu' ? '.asyncify' : ''}`;
  const { wasm } = env.backends.onnx;
  wasm.wasmPaths = { mjs: `${build}.mjs`, wasm: `${build}.wasm` };
  wasm.numThreads = threads;
  const model = await AutoModelForCausalLM.from_pretrained('onnx', { device: peer, dtype: 'fp32' });
  const version = `transformers.js ${env.version}`;
  return {
    about: peer === 'wasm' ? `${version} on WebAssembly, ${wasm.numThreads} threads` : `${version} on WebGPU, subgroups ${lanes}`,
    answer: (prompt, tokens) => answer(library, model, prompt, tokens),
    answers: (prompts, tokens, manner) => answers(library, model, prompts, tokens, manner),
  };
}

/** From here on adapters of this page have no subgroups where they are too small. */
async function hideSmallSubgroups(): Promise<'hidden' | 'as they are'> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter?.features.has('subgroups') || adapter.info.subgroupMinSize >= LEAST_LANES) return 'as they are';
  const features = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, 'features')!.get!;
  Object.defineProperty(GPUAdapter.prototype, 'features', {
    get() {
      return new Set([...(features.call(this) as GPUSupportedFeatures)].filter((name) => name !== 'subgroups'));
    },
  });
  return 'hidden';
}

async function answer(library: Transformers, model: Model, prompt: readonly number[], tokens: number): Promise<Answer> {
  const times: number[] = [];
  const began = performance.now();
  const found = await generate(library, model, [prompt], tokens, () => times.push(performance.now()));
  // the prompt comes first
  const [, first = Number.NaN] = times;
  if (times.length !== tokens + 1) throw new Error(`${times.length} calls of the streamer for ${tokens} tokens and the prompt`);
  return { tokens: found[0]!, first: first - began, rest: times.at(-1)! - first };
}

async function answers(
  library: Transformers,
  model: Model,
  prompts: readonly (readonly number[])[],
  tokens: number,
  manner: Manner,
): Promise<Answers> {
  if (manner.startsWith('adapters')) throw new RangeError('transformers.js has no adapters');
  const found: number[][] = [];
  const began = performance.now();
  if (manner === 'together') found.push(...(await generate(library, model, prompts, tokens)));
  else for (const prompt of prompts) found.push(...(await generate(library, model, [prompt], tokens)));
  return { tokens: found, ms: performance.now() - began };
}

async function generate(
  { Tensor }: Transformers,
  model: Model,
  prompts: readonly (readonly number[])[],
  tokens: number,
  onTokens?: () => void,
): Promise<number[][]> {
  const length = prompts[0]!.length;
  const dims = [prompts.length, length];
  const ids = BigInt64Array.from(prompts.flat(), BigInt);
  const sequences = await model.generate({
    inputs: new Tensor('int64', ids, dims),
    attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), dims),
    max_new_tokens: tokens,
    do_sample: false,
    eos_token_id: null,
    ...(onTokens ? { streamer: { put: onTokens, end: () => undefined } } : {}),
  });
  return sequences.tolist().map((row) => row.slice(length).map(Number));
}
