import { describe, expect, test } from 'vitest';
import { diagnose } from '../../src/engine/diagnose.ts';
import { checkGenerateOptions, samplingOf } from '../../src/engine/generate-options.ts';
import { promptTokens } from '../../src/engine/load.ts';
import { checkEngineOptions } from '../../src/engine/options.ts';
import type { EngineOptions, GenerateOptions, GpuProvider } from '../../src/engine/types.ts';
import type { ModelConfig } from '../../src/model/config.ts';
import { dawn } from '../../src/node/dawn.ts';
import { createEngine } from '../../src/openai/create.ts';
import { createChatTemplate } from '../../src/text/chat-template.ts';
import type { Tokenizer } from '../../src/text/tokenizer.ts';

const VOCABULARY = 100;
const engine = (more: object) => checkEngineOptions({ model: 'm', ...more } as EngineOptions);
const generate = (options: object) => checkGenerateOptions(options as GenerateOptions, VOCABULARY);
const part = { id: 'a', scale: 1 };

describe('createEngine', () => {
  test('fills every limit in', () => {
    const limits = { sequences: 64, batchRows: 128, prefillChunk: 64, queue: 4096, adapters: 32, stepMs: 40 };
    const kept = { heapBytes: 256 * 2 ** 20, diskBytes: 4 * 2 ** 30, revalidateAfter: 3_600_000 };
    expect(engine({})).toEqual({ ...limits, ...kept, fairness: { tenants: new Map(), adapters: new Map() } });
    const given = { sequences: 1, batchRows: 2, prefillChunk: 3, queue: 4, adapters: 5, stepMs: 0.5 };
    expect(engine({ limits: given, prefixCache: false, deterministic: true, memory: { pool: 1 }, maxModelLength: 2 })).toMatchObject(given);
  });

  test('what adapters may take is left out, or as low as nothing', () => {
    const none = { heapBytes: 0, diskBytes: 0, revalidateAfter: 0 };
    expect(engine({ memory: { pool: 1, heap: 0, disk: 0 }, revalidateAfter: 0, hubToken: 'hf_abc' })).toMatchObject(none);
    expect(engine({ memory: { heap: undefined, disk: 7 }, revalidateAfter: undefined, hubToken: undefined })).toMatchObject({
      heapBytes: 256 * 2 ** 20,
      diskBytes: 7,
      revalidateAfter: 3_600_000,
    });
  });

  test('a store has all its methods', () => {
    const call = async (): Promise<undefined> => undefined;
    const store = { get: call, put: call, delete: call, keys: call, entries: call, exclusive: call };
    engine({ store });
    for (const name of Object.keys(store)) {
      const error = expect.objectContaining({ name: 'TypeError', message: expect.stringContaining(`no method ${name};`) });
      expect(() => engine({ store: { ...store, [name]: undefined } })).toThrow(error);
    }
    expect(() => engine({ store: null })).toThrow('no method get');
    expect(() => engine({ resolve: 'x' })).toThrow('resolve must be a function');
  });

  test('a tokenizer has all its methods', () => {
    const call = (): never[] => [];
    const tokenizer = { encode: call, decode: call, token: call, id: call };
    engine({ tokenizer });
    for (const name of Object.keys(tokenizer)) {
      expect(() => engine({ tokenizer: { ...tokenizer, [name]: undefined } })).toThrow(`tokenizer has no method ${name};`);
    }
    expect(() => engine({ tokenizer: null })).toThrow(TypeError);
  });

  test.each([undefined, null, 'm', ['m']])('%j is no set of options, and it is said so', async (options) => {
    const error = expect.objectContaining({ name: 'TypeError', message: expect.stringContaining('they must be an object') });
    await expect(createEngine(options as unknown as EngineOptions)).rejects.toThrow(error);
  });

  test('a promise of a GPU is none yet', async () => {
    const gpu = Promise.resolve({ requestAdapter: async () => null }) as unknown as GpuProvider;
    const error = expect.objectContaining({ name: 'TypeError', message: expect.stringContaining('await dawn()') });
    await expect(createEngine({ model: 'm', gpu })).rejects.toThrow(error);
    await expect(diagnose({ gpu })).rejects.toThrow(error);
  });

  test.each(['', ' ', 'hf_\n', 'hf ü', 7, null])('%j is no token, and the message does not show it', (hubToken) => {
    expect(() => engine({ hubToken })).toThrow(expect.objectContaining({ code: 'request_invalid', param: 'hubToken' }));
    expect(() => engine({ hubToken: 'secret word' })).toThrow(/^(?!.*secret)/s);
  });

  test('weights are by name, whatever the name', () => {
    const { fairness } = engine({ fairness: { tenants: { constructor: 2, '': 0.5 }, adapters: { json: 3 } } });
    expect([...fairness.tenants]).toEqual([
      ['constructor', 2],
      ['', 0.5],
    ]);
    expect(fairness.adapters.get('json')).toBe(3);
    expect(fairness.tenants.get('toString')).toBeUndefined();
  });

  test.each([
    [{ prefixcache: true }, 'prefixcache'],
    [{ limits: { step: 3 } }, 'step'],
    [{ memory: { heaps: 3 } }, 'heaps'],
    [{ fairness: { tenant: {} } }, 'tenant'],
    [{ toString: 1 }, 'toString'],
  ])('%j has an unknown name', (options, name) => {
    expect(() => engine(options)).toThrow(TypeError);
    expect(() => engine(options)).toThrow(`"${name}"`);
  });

  test.each<[object, string]>([
    [{ limits: { queue: 0 } }, 'limits.queue'],
    [{ limits: { adapters: 4097 } }, 'limits.adapters'],
    [{ limits: { sequences: 1.5 } }, 'limits.sequences'],
    [{ limits: { stepMs: 0 } }, 'limits.stepMs'],
    [{ limits: { stepMs: Infinity } }, 'limits.stepMs'],
    [{ memory: { pool: '1' } }, 'memory.pool'],
    [{ memory: { heap: -1 } }, 'memory.heap'],
    [{ memory: { disk: 0.5 } }, 'memory.disk'],
    [{ revalidateAfter: -1 }, 'revalidateAfter'],
    [{ revalidateAfter: Infinity }, 'revalidateAfter'],
    [{ maxModelLength: 1 }, 'maxModelLength'],
    [{ precision: 'f16' }, 'precision'],
    [{ quantize: 'q4_1' }, 'quantize'],
    [{ quantize: null }, 'quantize'],
    [{ kernels: 'fast' }, 'kernels'],
    [{ kernels: null }, 'kernels'],
    [{ prefixCache: 'no' }, 'prefixCache'],
    [{ deterministic: 1 }, 'deterministic'],
    [{ fairness: { tenants: { a: 0 } } }, 'fairness.tenants.a'],
    [{ fairness: { adapters: { a: Number.NaN } } }, 'fairness.adapters.a'],
    [{ fairness: { adapters: { a: undefined } } }, 'fairness.adapters.a'],
    [{ fairness: { tenants: new Map([['a', 1]]) } }, 'fairness.tenants'],
    [{ memory: 2 ** 30 }, 'memory'],
    [{ memory: null }, 'memory'],
    [{ limits: new Map([['queue', 1]]) }, 'limits'],
    [{ fairness: [] }, 'fairness'],
    [{ signal: new AbortController() }, 'signal'],
    [{ signal: null }, 'signal'],
    [{ onProgress: 'yes' }, 'onProgress'],
  ])('%j is out of range', (options, param) => {
    expect(() => engine(options)).toThrow(expect.objectContaining({ code: 'request_invalid', param }));
  });
});

describe('generate', () => {
  test('takes every option up to its bounds', () => {
    generate({});
    generate({ adapter: 'a', temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 0.1, presencePenalty: -2, frequencyPenalty: 2 });
    generate({
      adapter: [],
      topK: -1,
      topP: 1e-6,
      minP: 1,
      logitBias: { 0: -100, 99: 100 },
      seed: 0,
      priority: -5,
      tenant: '',
      cacheSalt: '',
    });
    generate({ adapter: [part, part, ...Array.from({ length: 6 }, (_, i) => ({ id: `${i}`, scale: -i }))], firstTokenDeadlineMs: 0.1 });
    generate({ topK: undefined, adapter: undefined, logitBias: {}, tenant: undefined });
  });

  test('knows no other name, of a part neither', () => {
    expect(() => generate({ top_k: 3 })).toThrow(/"top_k".*topK/);
    expect(() => generate('a' as unknown as object)).toThrow(TypeError);
    expect(() => generate(null as unknown as object)).toThrow('they must be an object');
    expect(() => generate({ adapter: [{ name: 'a', scale: 1 }] })).toThrow(TypeError);
  });

  test.each<[object, string, string]>([
    [{ temperature: -1 }, 'temperature', '-1'],
    [{ temperature: '1' }, 'temperature', '"1"'],
    [{ temperature: null }, 'temperature', 'null'],
    [{ temperature: 1e39 }, 'temperature', 'finite'],
    [{ topK: -2 }, 'topK', 'at least -1'],
    [{ topK: 1.5 }, 'topK', 'integer'],
    [{ topP: 0 }, 'topP', 'above 0 and up to 1'],
    [{ topP: 1.01 }, 'topP', '1.01'],
    [{ topP: 1e-50 }, 'topP', 'above 0'],
    [{ minP: 1.1 }, 'minP', 'from 0 to 1'],
    [{ minP: -0.1 }, 'minP', 'from 0 to 1'],
    [{ repetitionPenalty: 0 }, 'repetitionPenalty', 'above 0'],
    [{ repetitionPenalty: Infinity }, 'repetitionPenalty', 'finite'],
    [{ presencePenalty: 2.1 }, 'presencePenalty', 'from -2 to 2'],
    [{ frequencyPenalty: Number.NaN }, 'frequencyPenalty', 'NaN'],
    [{ priority: 0.5 }, 'priority', 'integer'],
    [{ firstTokenDeadlineMs: 0 }, 'firstTokenDeadlineMs', 'above 0'],
    [{ tenant: 7 }, 'tenant', 'string'],
    [{ cacheSalt: {} }, 'cacheSalt', 'string'],
    [{ stop: [''] }, 'stop', 'not empty'],
    [{ signal: new AbortController() }, 'signal', 'AbortSignal'],
    [{ stopTokenIds: [-1] }, 'stopTokenIds', '-1'],
    [{ stopTokenIds: [undefined] }, 'stopTokenIds', 'undefined'],
    [{ logitBias: [1] }, 'logitBias', 'object'],
    [{ logitBias: new Map([[1, 1]]) }, 'logitBias', 'object'],
    [{ logitBias: { 100: 1 } }, 'logitBias', '"100"'],
    [{ logitBias: { '01': 1 } }, 'logitBias', '"01"'],
    [{ logitBias: { a: 1 } }, 'logitBias', '0 to 99'],
    [{ logitBias: { 7: 101 } }, 'logitBias', 'logitBias[7] is 101'],
    [{ logitBias: { 7: undefined } }, 'logitBias', 'undefined'],
    [{ adapter: 7 }, 'adapter', 'id'],
    [{ adapter: '' }, 'adapter', 'the base'],
    [{ adapter: [part, 'b'] }, 'adapter', 'adapter[1]'],
    [{ adapter: [{ id: '', scale: 1 }] }, 'adapter', 'adapter[0].id'],
    [{ adapter: [{ id: 'a' }] }, 'adapter', 'adapter[0].scale'],
    [{ adapter: [{ id: 'a', scale: 1e39 }] }, 'adapter', 'finite'],
    [{ adapter: Array.from({ length: 9 }, () => part) }, 'adapter', 'at most 8'],
  ])('%j is out of range', (options, param, words) => {
    expect(() => generate(options)).toThrow(expect.objectContaining({ code: 'request_invalid', param }));
    expect(() => generate(options)).toThrow(words);
  });
});

test('whoever looks at a device is told of names that there are not, too', async () => {
  await expect(diagnose({ software: true } as object)).rejects.toThrow('diagnose: unknown option "software"');
  await expect(diagnose({ signal: 3 } as object)).rejects.toMatchObject({ code: 'request_invalid', param: 'signal' });
  await expect(dawn({ sofware: true } as object)).rejects.toThrow('dawn: unknown option "sofware" (known: software, onNotice)');
  await expect(dawn({ software: 'no' } as object)).rejects.toMatchObject({ code: 'request_invalid', param: 'software' });
  await expect(dawn({ onNotice: 'no' } as object)).rejects.toMatchObject({ code: 'request_invalid', param: 'onNotice' });
});

describe('messages', () => {
  const tokenizer = { encode: (text: string) => [...text].map((_, i) => i) } as unknown as Tokenizer;
  const chatTemplate = createChatTemplate({ template: '{% for m in messages %}{{ m.role + m.content }}{% endfor %}' });
  const tokens = (prompt: unknown) => promptTokens(prompt, { tokenizer, chatTemplate }, { vocabSize: VOCABULARY } as ModelConfig);

  test('are texts with a role; what else a template takes is left to it', () => {
    expect(tokens([{ role: 'user', content: 'Hi', name: 'Ann' }])).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test.each<[unknown, string]>([
    [[{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }], 'messages[0].content is'],
    [
      [
        { role: 'user', content: 'Hi' },
        { role: 'user', content: null },
      ],
      'messages[1].content is null',
    ],
    [[{ content: 'Hi' }], 'messages[0].role is undefined'],
    [['Hi', 'Ho'], 'messages[0] is "Hi"; it must be an object { role, content }'],
    [[1, null], 'messages[0] is 1'],
  ])('%j are none', (prompt, words) => {
    expect(() => tokens(prompt)).toThrow(expect.objectContaining({ code: 'request_invalid', param: 'messages' }));
    expect(() => tokens(prompt)).toThrow(words);
  });
});

describe('the sampler', () => {
  test('is greedy and adjusts nothing by default', () => {
    const neutral = { topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0, adjusts: 'no' };
    expect(samplingOf({})).toEqual({ temperature: 0, ...neutral });
    expect(samplingOf({ logitBias: {} }).adjusts).toBe('no');
  });

  test('has what was asked for; −1 means all of the vocabulary', () => {
    const asked = { temperature: 0.7, topK: 3, topP: 0.5, minP: 0.1, repetitionPenalty: 1.1, presencePenalty: -1, frequencyPenalty: 2 };
    expect(samplingOf(asked)).toEqual({ ...asked, adjusts: 'yes' });
    expect(samplingOf({ temperature: 1, topK: -1 }).topK).toBe(0);
  });

  test.each<GenerateOptions>([{ repetitionPenalty: 0.9 }, { presencePenalty: -0.1 }, { frequencyPenalty: 0.1 }, { logitBias: { 3: 1 } }])(
    'adjusts for %j, greedy or not',
    (options) => {
      expect(samplingOf(options).adjusts).toBe('yes');
    },
  );
});
