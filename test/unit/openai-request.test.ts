import { describe, expect, test } from 'vitest';
import type { WebLoraError } from '../../src/errors.ts';
import { FIELDS } from '../../src/openai/fields.ts';
import type { Endpoint } from '../../src/openai/fields.ts';
import { parseRequest } from '../../src/openai/request.ts';
import { fakeEngine, VOCABULARY } from './fake-engine.ts';

const info = await fakeEngine().model();
const messages = [{ role: 'user', content: 'Hi' }];

function chat(fields: object): ReturnType<typeof parseRequest> {
  return parseRequest('chat', { model: 'base', messages, ...fields }, info);
}
function completion(fields: object): ReturnType<typeof parseRequest> {
  return parseRequest('completions', { model: 'base', prompt: 'Hi', ...fields }, info);
}
function refusal(run: () => unknown): { readonly param: string | undefined; readonly message: string } {
  try {
    run();
  } catch (error) {
    const { code, param, message } = error as WebLoraError;
    expect(code).toBe('request_invalid');
    return { param, message };
  }
  throw new Error('was accepted');
}

describe('fields', () => {
  test('every known field is on one list', () => {
    for (const endpoint of ['chat', 'completions'] as const) {
      const { honoured, inert, refused } = FIELDS[endpoint];
      const names = [...honoured, ...inert, ...refused.keys()];
      expect(new Set(names).size).toBe(names.length);
    }
  });

  test('a known field that is not served is accepted at its neutral value alone', () => {
    for (const endpoint of ['chat', 'completions'] as const) {
      for (const [name, neutral] of FIELDS[endpoint].refused) {
        const run = (value: unknown) => (endpoint === 'chat' ? chat : completion)({ [name]: value });
        for (const value of [null, ...neutral]) expect(() => run(value), `${name} = ${JSON.stringify(value)}`).not.toThrow();
        expect(refusal(() => run('something else')).param).toBe(name);
      }
    }
  });

  test.each<[Endpoint, object, string]>([
    ['chat', { length_penalty: 0.9 }, 'length_penalty'],
    ['completions', { min_tokens: 3 }, 'min_tokens'],
    ['chat', { stream: 'yes' }, 'stream'],
    ['chat', { stream_options: { include_usage: true } }, 'stream_options'],
    ['chat', { stream: false, stream_options: {} }, 'stream_options'],
    ['chat', { stream: true, stream_options: 'usage' }, 'stream_options'],
    ['chat', { stream: true, stream_options: { include_usage: 1 } }, 'stream_options'],
    ['chat', { stream: true, stream_options: { include_obfuscation: true } }, 'stream_options'],
    ['completions', { stream: true, stream_options: { continuous_usage_stats: true } }, 'stream_options'],
    ['completions', { stream: true, stream_options: { usage: false } }, 'stream_options'],
    ['completions', { stream: true, prompt_logprobs: 0 }, 'prompt_logprobs'],
    ['chat', { response_format: { type: 'json_object' } }, 'response_format'],
    ['chat', { tools: [{ type: 'function' }] }, 'tools'],
    ['completions', { echo: true }, 'echo'],
    ['completions', { best_of: 3, n: 2 }, 'best_of'],
    ['completions', { suffix: 'x' }, 'suffix'],
    ['completions', { temperatur: 1 }, 'temperatur'],
    ['completions', { messages }, 'messages'],
    ['completions', { top_logprobs: 2 }, 'top_logprobs'],
    ['chat', { prompt: 'x' }, 'prompt'],
    ['chat', { nonsense: null }, 'nonsense'],
  ])('%s refuses %j by name', (endpoint, fields, name) => {
    const { param, message } = refusal(() => (endpoint === 'chat' ? chat : completion)(fields));
    expect(param).toBe(name);
    expect(message).toContain(name);
  });

  test('inert fields and best_of equal to n are accepted', () => {
    chat({ user: 'me', metadata: { a: 1 }, store: true });
    completion({ best_of: 2, n: 2 });
  });
});

describe('streams', () => {
  test('are asked for by stream alone; their usage by stream_options', () => {
    expect(chat({}).stream).toBeUndefined();
    expect(chat({ stream: false, stream_options: null }).stream).toBeUndefined();
    expect(chat({ stream: true }).stream).toEqual({ usage: 'none' });
    expect(chat({ stream: true, stream_options: { include_usage: null, include_obfuscation: false } }).stream).toEqual({ usage: 'none' });
    expect(completion({ stream: true, stream_options: { include_usage: true } }).stream).toEqual({ usage: 'last' });
  });
});

describe('values', () => {
  test.each<[object, string]>([
    [{ temperature: 2.1 }, 'temperature'],
    [{ temperature: -0.1 }, 'temperature'],
    [{ temperature: '1' }, 'temperature'],
    [{ top_p: 0 }, 'top_p'],
    [{ top_p: 1.1 }, 'top_p'],
    [{ top_p: 1e-60 }, 'top_p'],
    [{ top_k: -2 }, 'top_k'],
    [{ top_k: 1.5 }, 'top_k'],
    [{ min_p: -0.1 }, 'min_p'],
    [{ min_p: 1.1 }, 'min_p'],
    [{ presence_penalty: 2.1 }, 'presence_penalty'],
    [{ frequency_penalty: -2.1 }, 'frequency_penalty'],
    [{ frequency_penalty: '1' }, 'frequency_penalty'],
    [{ repetition_penalty: 0 }, 'repetition_penalty'],
    [{ repetition_penalty: 'NaN' }, 'repetition_penalty'],
    [{ logit_bias: [1] }, 'logit_bias'],
    [{ logit_bias: { [VOCABULARY]: 1 } }, 'logit_bias'],
    [{ logit_bias: { '07': 1 } }, 'logit_bias'],
    [{ logit_bias: { a: 1 } }, 'logit_bias'],
    [{ logit_bias: { 7: 100.5 } }, 'logit_bias'],
    [{ logit_bias: { 7: null } }, 'logit_bias'],
    [{ priority: 0.5 }, 'priority'],
    [{ priority: 'high' }, 'priority'],
    [{ cache_salt: '' }, 'cache_salt'],
    [{ cache_salt: 7 }, 'cache_salt'],
    [{ tenant: 7 }, 'tenant'],
    [{ first_token_deadline_ms: 0 }, 'first_token_deadline_ms'],
    [{ first_token_deadline_ms: '5' }, 'first_token_deadline_ms'],
    [{ lora: { name: 'json', scale: 1 } }, 'lora'],
    [{ lora: ['json'] }, 'lora'],
    [{ lora: [{ name: 'json' }] }, 'lora'],
    [{ lora: [{ name: '', scale: 1 }] }, 'lora'],
    [{ lora: [{ name: 'json', scale: '1' }] }, 'lora'],
    [{ lora: [{ name: 'json', scale: 1e39 }] }, 'lora'],
    [{ lora: [{ id: 'json', name: 'json', scale: 1 }] }, 'lora'],
    [{ lora: Array.from({ length: 9 }, () => ({ name: 'json', scale: 1 })) }, 'lora'],
    [{ n: 0 }, 'n'],
    [{ n: 129 }, 'n'],
    [{ n: 1.5 }, 'n'],
    [{ seed: -1 }, 'seed'],
    [{ seed: Number.MAX_SAFE_INTEGER, n: 2 }, 'seed'],
    [{ max_tokens: 0 }, 'max_tokens'],
    [{ max_completion_tokens: 1e300 }, 'max_completion_tokens'],
    [{ max_tokens: 2, max_completion_tokens: 3 }, 'max_tokens'],
    [{ stop: '' }, 'stop'],
    [{ stop: ['a', 1] }, 'stop'],
    [{ stop: Array.from({ length: 65 }, () => 'x') }, 'stop'],
    [{ stop_token_ids: [VOCABULARY] }, 'stop_token_ids'],
    [{ stop_token_ids: 7 }, 'stop_token_ids'],
    [{ ignore_eos: 1 }, 'ignore_eos'],
    [{ prompt_logprobs: -2 }, 'prompt_logprobs'],
    [{ prompt_logprobs: VOCABULARY + 1 }, 'prompt_logprobs'],
    [{ return_token_ids: 'yes' }, 'return_token_ids'],
    [{ model: undefined }, 'model'],
    [{ model: 7 }, 'model'],
  ])('%j is refused', (fields, param) => {
    expect(refusal(() => completion(fields)).param).toBe(param);
    expect(refusal(() => chat(fields)).param).toBe(param);
  });

  test('logprobs is a number of tokens for completions, and a switch beside top_logprobs for chat', () => {
    expect(completion({ logprobs: 3 }).options.logprobs).toBe(3);
    expect(completion({ logprobs: -1 }).options.logprobs).toBe(-1);
    expect(chat({ logprobs: true }).options.logprobs).toBe(0);
    expect(chat({ logprobs: true, top_logprobs: -1 }).options.logprobs).toBe(-1);
    expect(chat({ top_logprobs: 0 }).options).not.toHaveProperty('logprobs');
    expect(refusal(() => completion({ logprobs: true })).param).toBe('logprobs');
    expect(refusal(() => chat({ logprobs: 3 })).param).toBe('logprobs');
    expect(refusal(() => chat({ top_logprobs: 3 })).param).toBe('top_logprobs');
  });

  test('the defaults are those of vLLM', () => {
    expect(completion({}).options.temperature).toBe(1);
    expect(completion({}).maxTokens).toEqual({ atMost: 16 });
    expect(chat({}).maxTokens).toBeUndefined();
    expect(chat({ max_completion_tokens: 5 }).maxTokens).toEqual({ explicit: 5 });
    expect(parseRequest('chat', { model: 'base', messages }, { ...info, defaults: { temperature: 0.6 } }).options.temperature).toBe(0.6);
    expect(
      parseRequest('chat', { model: 'base', messages, temperature: 0 }, { ...info, defaults: { temperature: 0.6 } }).options.temperature,
    ).toBe(0);
  });

  test('what was asked for reaches the engine under its own names', () => {
    const sampling = { temperature: 0.5, top_p: 0.9, top_k: -1, min_p: 0.1, repetition_penalty: 1.2, presence_penalty: -2 };
    const serving = { tenant: '', priority: -3, cache_salt: 'mine', first_token_deadline_ms: 0.5 };
    expect(chat({ ...sampling, frequency_penalty: 2, logit_bias: { 0: -100, 7: 100 }, ...serving }).options).toEqual({
      temperature: 0.5,
      topP: 0.9,
      topK: -1,
      minP: 0.1,
      repetitionPenalty: 1.2,
      presencePenalty: -2,
      frequencyPenalty: 2,
      logitBias: { 0: -100, 7: 100 },
      tenant: '',
      priority: -3,
      cacheSalt: 'mine',
      firstTokenDeadlineMs: 0.5,
      stop: [],
      stopTokenIds: [],
      ignoreEos: false,
    });
    expect(chat({ top_p: null, lora: null, tenant: null }).options).toEqual(chat({}).options);
    expect(chat({}).lora).toBeUndefined();
    expect(chat({ lora: [{ name: 'a', scale: -0.5 }] }).lora).toEqual([{ id: 'a', scale: -0.5 }]);
  });

  test('the model’s own defaults count where the request says nothing', () => {
    const defaults = { temperature: 0.6, topK: 20, topP: 0.9, minP: 0.05, repetitionPenalty: 1.1 };
    const parsed = (fields: object) => parseRequest('chat', { model: 'base', messages, ...fields }, { ...info, defaults }).options;
    expect(parsed({})).toMatchObject(defaults);
    expect(parsed({ top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1, temperature: 0 })).toMatchObject({
      temperature: 0,
      topK: 0,
      topP: 1,
      minP: 0,
      repetitionPenalty: 1,
    });
  });

  test('without a seed one is drawn, another for every request', () => {
    const seeds = Array.from({ length: 20 }, () => chat({}).seed);
    expect(new Set(seeds).size).toBe(20);
    expect(seeds.every((seed) => Number.isSafeInteger(seed + 127) && seed >= 0)).toBe(true);
  });

  test.each([[1], ['x'], [null], [[{}]]])('a body that is %j is refused', (body) => {
    expect(refusal(() => parseRequest('chat', body, info)).message).toContain('JSON object');
  });
});

describe('prompts', () => {
  test('text, ids, and lists of either', () => {
    expect(completion({}).prompts).toEqual(['Hi']);
    expect(completion({ prompt: [1, 2] }).prompts).toEqual([[1, 2]]);
    expect(completion({ prompt: ['a', 'b'] }).prompts).toEqual(['a', 'b']);
    expect(completion({ prompt: [[1], [2, 3]] }).prompts).toEqual([[1], [2, 3]]);
  });

  test.each([[undefined], [[]], [[1, 'a']], [[1.5]], [[-1]], [[VOCABULARY]], [[[1], [VOCABULARY]]], [{}], [[[1], 'a']]])(
    '%j is refused',
    (prompt) => {
      expect(refusal(() => completion({ prompt })).param).toBe('prompt');
    },
  );
});

describe('messages', () => {
  test('text parts are joined, and fields that say nothing accepted', () => {
    const parts = [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ];
    const answer = { role: 'assistant', content: 'x', refusal: null, tool_calls: [] };
    expect(chat({ messages: [{ role: 'user', content: parts }, answer] }).prompts).toEqual([
      [
        { role: 'user', content: 'ab' },
        { role: 'assistant', content: 'x' },
      ],
    ]);
  });

  test.each([
    [undefined],
    [[]],
    ['Hi'],
    [[{ content: 'x' }]],
    [[{ role: '', content: 'x' }]],
    [[{ role: 'user' }]],
    [[{ role: 'user', content: 7 }]],
    [[{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }]],
    [[{ role: 'user', content: [null] }]],
    [[{ role: 'user', content: 'x', name: 'Ann' }]],
    [[{ role: 'user', content: 'x', nonsense: 1 }]],
    [[null]],
  ])('%j is refused', (value) => {
    expect(refusal(() => chat({ messages: value })).param).toBe('messages');
  });
});
