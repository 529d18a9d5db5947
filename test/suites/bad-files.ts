import { createEngine } from '../../src/engine/engine.ts';
import type { Engine } from '../../src/engine/types.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { safetensors, withHeader, type TestTensor } from '../unit/files.ts';
import { LLAMA } from './adapters.ts';
import { logGpu, type LoggedGpu } from './device-log.ts';
import { ADAPTER_FILES, memoryFolder, MODEL_FILES, readFiles, source, type Files } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

/** One way in which a folder is bad. */
interface Bad {
  readonly name: string;
  readonly code: ErrorCode;
  /** What the message must show: the file, and the value that is wrong. */
  readonly says: readonly (string | RegExp)[];
  /** Spoils a good folder. */
  readonly spoil: (files: Files, weights: string) => void;
}

type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

interface Parts {
  readonly header: Header;
  readonly data: Uint8Array<ArrayBuffer>;
}

function split(file: Uint8Array<ArrayBuffer>): Parts {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const { __metadata__: _, ...header } = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Header;
  return { header, data: file.slice(8 + length) };
}

/** Tensors of a file, to be changed and written again. */
function tensorsOf(file: Uint8Array<ArrayBuffer>): TestTensor[] {
  const { header, data } = split(file);
  return Object.entries(header).map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [start, end],
      },
    ]) => ({ name, dtype, shape, bytes: data.slice(start, end) }),
  );
}

/** Changes the header of a file and leaves its bytes. */
const header =
  (change: (header: Header, names: string[]) => void): Bad['spoil'] =>
  (files, weights) => {
    const { header: entries, data } = split(files[weights]!);
    change(
      entries,
      Object.keys(entries).sort((a, b) => entries[a]!.data_offsets[0] - entries[b]!.data_offsets[0]),
    );
    files[weights] = withHeader(JSON.stringify(entries), data);
  };

/** Writes a file anew from changed tensors. */
const tensors =
  (change: (tensors: TestTensor[]) => TestTensor[]): Bad['spoil'] =>
  (files, weights) => {
    files[weights] = safetensors(change(tensorsOf(files[weights]!)));
  };

/** Puts a value in place of a field of a JSON file; the value is text, because NaN is no JSON. */
const field =
  (file: string, key: string, value: string): Bad['spoil'] =>
  (files) => {
    const object = { ...(JSON.parse(new TextDecoder().decode(files[file])) as object), [key]: '@' };
    files[file] = new TextEncoder().encode(JSON.stringify(object).replace('"@"', value));
  };

/** Puts a number into the last place of the first tensor whose name has `part`. */
const number = (part: string, bytes: (dtype: string) => readonly number[]): Bad['spoil'] =>
  tensors((all) =>
    all.map((tensor) => {
      if (tensor !== all.find(({ name }) => name.includes(part))) return tensor;
      const spoilt = tensor.bytes.slice();
      const value = bytes(tensor.dtype!);
      spoilt.set(value, spoilt.length - value.length);
      return { ...tensor, bytes: spoilt };
    }),
  );

const NAN = (dtype: string): number[] => (dtype === 'F32' ? [0, 0, 0xc0, 0x7f] : [0, 0x7e]);
const INFINITY = (dtype: string): number[] => (dtype === 'F32' ? [0, 0, 0x80, 0xff] : [0, 0xfc]);

/** What is wrong with the bytes or the header of a safetensors file, whoever reads it. */
const formatCases = (weights: string, half: string): readonly Bad[] => [
  {
    name: 'cut short',
    code: 'file_truncated',
    says: [weights, /\d+ bytes/],
    spoil: (files) => void (files[weights] = files[weights]!.slice(0, -100)),
  },
  {
    name: 'cut inside the length',
    code: 'file_truncated',
    says: [weights, '5 bytes'],
    spoil: (files) => void (files[weights] = files[weights]!.slice(0, 5)),
  },
  {
    name: 'a header longer than the file',
    code: 'file_truncated',
    says: [weights, '90000008'],
    spoil: (files) => new DataView(files[weights]!.buffer).setBigUint64(0, 90_000_000n, true),
  },
  {
    name: 'a header longer than the format allows',
    code: 'safetensors_header',
    says: [weights, '1099511627776', '100000000'],
    spoil: (files) => new DataView(files[weights]!.buffer).setBigUint64(0, 2n ** 40n, true),
  },
  {
    name: 'a header that is no JSON',
    code: 'safetensors_header',
    says: [weights, 'JSON'],
    spoil: (files) => void (files[weights] = withHeader('{"a": nonsense}')),
  },
  {
    name: 'overlapping offsets',
    code: 'safetensors_offsets',
    says: [weights, 'overlaps', /byte \d+/],
    spoil: header((entries, names) => {
      const [, second] = names;
      const [start, end] = entries[second!]!.data_offsets;
      entries[second!]!.data_offsets = [start - 16, end - 16];
    }),
  },
  {
    name: 'offsets out of range',
    code: 'safetensors_offsets',
    says: [weights, /99999\d+/],
    spoil: header((entries, names) => {
      const last = entries[names.at(-1)!]!;
      const [start, end] = last.data_offsets;
      last.data_offsets = [99_999_000_000, 99_999_000_000 + end - start];
    }),
  },
  {
    name: 'offsets that contradict the shape',
    code: 'safetensors_offsets',
    says: [weights, '123456789'],
    spoil: header((entries, names) => void (entries[names[0]!]!.shape[0] = 123_456_789)),
  },
  {
    name: 'an unknown dtype',
    code: 'tensor_dtype',
    says: [weights, 'F33'],
    spoil: header((entries, names) => void (entries[names[0]!]!.dtype = 'F33')),
  },
  {
    name: 'a dtype that weights cannot have',
    code: 'tensor_dtype',
    says: [weights, half],
    spoil: header((entries) => Object.values(entries).forEach((entry) => (entry.dtype = half))),
  },
];

/** `part` of a tensor's name, for the last that is read: everything before it is there by then. */
const valueCases = (weights: string, part: string): readonly Bad[] => [
  { name: 'NaN in a tensor', code: 'tensor_not_finite', says: [weights, part, /NaN/], spoil: number(part, NAN) },
  { name: 'infinity in a tensor', code: 'tensor_not_finite', says: [weights, part, /[Ii]nfinity/], spoil: number(part, INFINITY) },
];

const rename = (from: string, to: string): Bad['spoil'] =>
  tensors((all) => all.map((tensor) => ({ ...tensor, name: tensor.name.replace(from, to) })));

const MODEL_CASES: readonly Bad[] = [
  ...formatCases('model.safetensors', 'I32'),
  ...valueCases('model.safetensors', 'layers.1.mlp.down_proj'),
  {
    name: 'NaN in the JSON',
    code: 'file_invalid',
    says: ['config.json', 'NaN', 'line 1'],
    spoil: field('config.json', 'rms_norm_eps', 'NaN'),
  },
  {
    name: 'infinity in the JSON',
    code: 'file_invalid',
    says: ['config.json', 'Infinity'],
    spoil: field('config.json', 'rope_theta', '-Infinity'),
  },
  {
    name: '1e999 in the JSON',
    code: 'file_invalid',
    says: ['config.json', 'rms_norm_eps'],
    spoil: field('config.json', 'rms_norm_eps', '1e999'),
  },
  {
    name: 'NaN in generation_config.json',
    code: 'file_invalid',
    says: ['generation_config.json', 'NaN'],
    spoil: field('generation_config.json', 'temperature', 'NaN'),
  },
  {
    name: 'a wrong shape',
    code: 'tensor_shape',
    says: ['model.safetensors', 'layers.1.self_attn.k_proj', /64, ?32/, /32, ?64/],
    spoil: header((entries) => entries['model.layers.1.self_attn.k_proj.weight']!.shape.reverse()),
  },
  {
    name: 'sizes in the config that no tensor has',
    code: 'tensor_shape',
    says: ['model.safetensors', 'embed_tokens', '8000000'],
    spoil: field('config.json', 'vocab_size', '8000000'),
  },
  {
    name: 'sizes that nobody has',
    code: 'model_unsupported',
    says: ['config.json', 'num_hidden_layers', '1000000'],
    spoil: field('config.json', 'num_hidden_layers', '1000000'),
  },
  {
    name: 'a tensor that is not there',
    code: 'tensor_missing',
    says: ['model.layers.1.mlp.up_proj.weight'],
    spoil: rename('layers.1.mlp.up_proj', 'layers.1.mlp.up_project'),
  },
  {
    name: 'another architecture',
    code: 'model_unsupported',
    says: ['config.json', 'mamba'],
    spoil: field('config.json', 'model_type', '"mamba"'),
  },
  { name: 'no weights', code: 'file_missing', says: ['model.safetensors'], spoil: (files) => void delete files['model.safetensors'] },
  { name: 'no config', code: 'file_missing', says: ['config.json'], spoil: (files) => void delete files['config.json'] },
];

const A = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight';
const LAST = 'layers.1.mlp.down_proj.lora_B';

const ADAPTER_CASES: readonly Bad[] = [
  ...formatCases('adapter_model.safetensors', 'I16'),
  ...valueCases('adapter_model.safetensors', LAST),
  {
    name: 'NaN in the JSON',
    code: 'file_invalid',
    says: ['adapter_config.json', 'NaN'],
    spoil: field('adapter_config.json', 'lora_alpha', 'NaN'),
  },
  {
    name: 'infinity in the JSON',
    code: 'file_invalid',
    says: ['adapter_config.json', 'Infinity'],
    spoil: field('adapter_config.json', 'lora_alpha', 'Infinity'),
  },
  {
    name: '1e999 in the JSON',
    code: 'file_invalid',
    says: ['adapter_config.json', 'lora_alpha'],
    spoil: field('adapter_config.json', 'lora_alpha', '1e999'),
  },
  {
    name: 'a wrong shape',
    code: 'tensor_shape',
    says: ['adapter_model.safetensors', A, '512'],
    spoil: header((entries) => void (entries[A]!.shape = [512])),
  },
  {
    name: 'widths of another base',
    code: 'tensor_shape',
    says: ['adapter_model.safetensors', 'k_proj.lora_B', /32, ?8|8, ?32|64, ?8/],
    spoil: tensors((all) =>
      all.map((tensor) => (tensor.name.includes('k_proj.lora_B') ? { ...tensor, shape: [64, 8], bytes: new Uint8Array(1024) } : tensor)),
    ),
  },
  {
    name: 'rank 0 in the config',
    code: 'adapter_rank',
    says: ['adapter_config.json', 'r is 0'],
    spoil: field('adapter_config.json', 'r', '0'),
  },
  {
    name: 'rank 0 in a tensor',
    code: 'adapter_rank',
    says: ['adapter_model.safetensors', 'layers.0.self_attn.q_proj', 'rank 0'],
    spoil: tensors((all) =>
      all.map((tensor) => {
        if (!tensor.name.includes('layers.0.self_attn.q_proj')) return tensor;
        return { ...tensor, shape: tensor.name === A ? [0, 64] : [64, 0], bytes: new Uint8Array(0) };
      }),
    ),
  },
  {
    name: 'a rank that contradicts the config',
    code: 'adapter_rank',
    says: ['adapter_model.safetensors', 'rank 8', '16'],
    spoil: field('adapter_config.json', 'r', '16'),
  },
  {
    name: 'A and B of different ranks',
    code: 'adapter_rank',
    says: ['adapter_model.safetensors', A, /4, ?64/],
    spoil: tensors((all) =>
      all.map((tensor) => (tensor.name === A ? { ...tensor, shape: [4, 64], bytes: tensor.bytes.slice(0, 512) } : tensor)),
    ),
  },
  {
    name: 'tensors that match nothing',
    code: 'adapter_target',
    says: ['adapter_model.safetensors', 'transformer.h.0'],
    spoil: rename('model.model.layers', 'model.transformer.h'),
  },
  {
    name: 'tensors that match in part: a layer too many',
    code: 'adapter_target',
    says: ['adapter_model.safetensors', 'layers.7.mlp', /2 layers/],
    spoil: rename('layers.1.mlp', 'layers.7.mlp'),
  },
  {
    name: 'tensors that match in part: A without B',
    code: 'adapter_target',
    says: ['adapter_model.safetensors', 'layers.0.self_attn.v_proj', 'lora_B'],
    spoil: tensors((all) => all.filter(({ name }) => !name.includes('layers.0.self_attn.v_proj.lora_B'))),
  },
  {
    name: 'tensors that match in part: a target without any',
    code: 'adapter_target',
    says: ['adapter_model.safetensors', 'o_proj'],
    spoil: tensors((all) => all.filter(({ name }) => !name.includes('o_proj'))),
  },
  { name: 'no tensor at all', code: 'adapter_target', says: ['adapter_model.safetensors'], spoil: tensors(() => []) },
  {
    name: 'another PEFT type',
    code: 'adapter_type',
    says: ['adapter_config.json', 'IA3'],
    spoil: field('adapter_config.json', 'peft_type', '"IA3"'),
  },
  {
    name: 'adapter_model.bin only',
    code: 'adapter_format',
    says: ['adapter_model.bin', /pickle/],
    spoil: (files) => {
      delete files['adapter_model.safetensors'];
      files['adapter_model.bin'] = new Uint8Array([0x80, 2, 0x7d, 0x2e]);
    },
  },
  {
    name: 'no weights',
    code: 'file_missing',
    says: ['adapter_model.safetensors'],
    spoil: (files) => void delete files['adapter_model.safetensors'],
  },
  { name: 'no config', code: 'file_missing', says: ['adapter_config.json'], spoil: (files) => void delete files['adapter_config.json'] },
  {
    name: 'a setting that changes the mathematics',
    code: 'adapter_setting',
    says: ['adapter_config.json', 'use_dora'],
    spoil: field('adapter_config.json', 'use_dora', 'true'),
  },
];

/** Adapters as PEFT writes them that are not served yet. */
const REFUSED: Readonly<Record<string, { readonly code: ErrorCode; readonly says: string }>> = {
  dora: { code: 'adapter_setting', says: 'use_dora' },
  'lm-head': { code: 'adapter_target', says: 'lm_head' },
  embed: { code: 'adapter_target', says: 'embed_tokens' },
  'save-norm-head': { code: 'adapter_setting', says: 'modules_to_save' },
  'save-norm-embed': { code: 'adapter_setting', says: 'modules_to_save' },
};

/** Throws unless the promise fails with this code and a message that shows all of `says`. */
async function refuses(promise: Promise<unknown>, { code, says }: Pick<Bad, 'code' | 'says'>): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason as { name?: string; code?: string; message?: string },
  );
  check(error !== undefined, () => `it was taken; expected ${code}`);
  check(error.name === 'WebLoraError' && error.code === code, () => `${error.name} ${error.code}: ${error.message}; expected ${code}`);
  for (const part of says) {
    const found = typeof part === 'string' ? error.message!.includes(part) : part.test(error.message!);
    check(found, () => `the message does not show ${part}: ${error.message}`);
  }
}

async function checkModel(environment: Environment, bad: Bad): Promise<void> {
  const gpu = logGpu(environment.gpu);
  const files = await readFiles(environment, `${LLAMA}/base`, MODEL_FILES);
  bad.spoil(files, 'model.safetensors');
  await refuses(createEngine({ gpu, model: memoryFolder('memory', files), precision: 'exact' }), bad);
  check(gpu.liveBuffers().length === 0, () => `left on the GPU: ${gpu.liveBuffers().join(', ')}`);
  check(gpu.liveDevices() === 0, () => 'the device was left open');
}

interface Bench {
  readonly engine: Engine;
  readonly gpu: LoggedGpu;
  /** What a good adapter answers. */
  readonly answer: string;
}

const answer = async (engine: Engine): Promise<string> =>
  (await engine.generate([3, 4, 5], { adapter: 'good', maxTokens: 4, ignoreEos: true }).result()).tokens.join();

async function open(environment: Environment): Promise<Bench> {
  const gpu = logGpu(environment.gpu);
  const engine = await createEngine({
    gpu,
    model: await source(environment, `${LLAMA}/base`),
    precision: 'exact',
    memory: { pool: 4 << 20 },
  });
  await engine.adapters.add('good', await source(environment, `${LLAMA}/adapters/r16-rslora`));
  return { engine, gpu, answer: await answer(engine) };
}

/** A bad adapter is refused by `load` and by a request, leaves nothing on the GPU, and everybody else goes on. */
async function checkAdapter({ engine, gpu, answer: expected }: Bench, files: Files, bad: Pick<Bad, 'code' | 'says'>): Promise<void> {
  const before = { bytes: gpu.liveBytes(), pages: JSON.stringify((await engine.stats()).pages) };
  await engine.adapters.add('bad', memoryFolder('memory', files));
  await refuses(engine.adapters.load('bad'), bad);
  const [failed, beside] = await Promise.allSettled([engine.generate([3], { adapter: 'bad', maxTokens: 1 }).result(), answer(engine)]);
  await refuses(failed.status === 'rejected' ? Promise.reject(failed.reason as Error) : Promise.resolve(), bad);
  check(
    beside.status === 'fulfilled' && beside.value === expected,
    () => `the good adapter answers ${JSON.stringify(beside)}, before ${expected}`,
  );
  const [tier] = (await engine.adapters.list()).filter(({ id }) => id === 'bad').map((info) => info.tier);
  check(tier === 'origin', () => `the refused adapter is in tier ${tier}`);
  await engine.adapters.remove('bad');
  const { pages, running, waiting } = await engine.stats();
  check(gpu.liveBytes() === before.bytes, () => `${gpu.liveBytes() - before.bytes} bytes were left on the GPU`);
  check(JSON.stringify(pages) === before.pages, () => `pages ${JSON.stringify(pages)}, before ${before.pages}`);
  check(running + waiting === 0, () => `${running} running and ${waiting} waiting requests were left`);
}

/** Every bad file ends in its own typed error, with nothing left on the GPU. The adapters' cases share an engine; the last closes it. */
export function badFileCases(environment: Environment): Case[] {
  let opened: Promise<Bench> | undefined;
  const bench = (): Promise<Bench> => (opened ??= open(environment));
  const adapter = (path: string): Promise<Files> => readFiles(environment, `${LLAMA}/adapters/${path}`, ADAPTER_FILES);
  return [
    ...MODEL_CASES.map((bad) => ({ name: `model: ${bad.name} (${bad.code})`, run: () => checkModel(environment, bad) })),
    ...ADAPTER_CASES.map((bad) => ({
      name: `adapter: ${bad.name} (${bad.code})`,
      run: async () => {
        const files = await adapter('r8-all');
        bad.spoil(files, 'adapter_model.safetensors');
        await checkAdapter(await bench(), files, bad);
      },
    })),
    ...Object.entries(REFUSED).map(([name, { code, says }]) => ({
      name: `adapter: ${name} as PEFT writes it (${code})`,
      run: async () => checkAdapter(await bench(), await adapter(name), { code, says: ['memory', says] }),
    })),
    { name: 'closes', run: async () => (await bench()).engine.close() },
  ];
}
