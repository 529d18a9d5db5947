import { describe, expect, test } from 'vitest';
import { createChatCompletion } from '../../src/openai/chat.ts';
import { createCompletion } from '../../src/openai/completions.ts';
import { errorResponse } from '../../src/openai/errors.ts';
import { baseNames } from '../../src/openai/models.ts';
import { tokenNames } from '../../src/openai/tokens.ts';
import { WebLoraError } from '../../src/errors.ts';
import { byteTokenizer, END, fakeEngine, logprobAt, UNUSED, VOCABULARY } from './fake-engine.ts';
import type { FakeEngine } from './fake-engine.ts';

const messages = [{ role: 'user', content: 'Hi' }];

async function refused(promise: Promise<unknown>): Promise<ReturnType<typeof errorResponse>> {
  return promise.then(
    () => Promise.reject(new Error('was accepted')),
    (error: unknown) => errorResponse(error),
  );
}

describe('completions', () => {
  test('a body of OpenAI’s shape', async () => {
    const body = await createCompletion(fakeEngine({ adapters: ['json'] }), { model: 'json', prompt: 'Hi', temperature: 0 });
    expect(body).toMatchObject({
      object: 'text_completion',
      model: 'json',
      choices: [{ index: 0, text: 'json says Hi', finish_reason: 'stop', stop_reason: null, logprobs: null }],
      usage: { prompt_tokens: 2, completion_tokens: 13, total_tokens: 15, prompt_tokens_details: { cached_tokens: 0 } },
    });
    expect(body.id).toMatch(/^cmpl-[0-9a-f]{24}$/);
    expect(body.choices[0]).not.toHaveProperty('token_ids');
  });

  test('choices run over prompts, then n; answer i has seed + i; a prompt counts once', async () => {
    const engine = fakeEngine();
    const body = await createCompletion(engine, { model: 'base', prompt: ['a', 'b'], n: 3, seed: 40, max_tokens: 30 });
    expect(body.choices.map((choice) => choice.index)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(body.choices.map((choice) => choice.text)).toEqual([
      'base says a #40',
      'base says a #41',
      'base says a #42',
      'base says b #40',
      'base says b #41',
      'base says b #42',
    ]);
    expect(body.usage.prompt_tokens).toBe(2);
  });

  test('tokens that were computed before the request are counted, each prompt once', async () => {
    // Of each prompt's answers the first computes most; what the others find it left there.
    const cached = [16, 32, 32, 48, 48, 48];
    const engine = fakeEngine({ cached: (call) => cached[call] ?? 0 });
    const { usage } = await createCompletion(engine, { model: 'base', prompt: ['a', 'bc'], n: 3 });
    expect(usage).toMatchObject({ prompt_tokens: 3, prompt_tokens_details: { cached_tokens: 64 } });
  });

  test('ids and prompt log-probabilities are in the choice, and computed once for n', async () => {
    const engine = fakeEngine();
    const asked = { model: 'base', prompt: [72, 105], n: 2, prompt_logprobs: 1, return_token_ids: true, temperature: 0 };
    const body = await createCompletion(engine, asked);
    expect(engine.calls.filter((call) => call.options.promptLogprobs !== undefined)).toHaveLength(1);
    for (const choice of body.choices) {
      expect(choice.prompt_token_ids).toEqual([72, 105]);
      expect(choice.token_ids?.at(-1)).toBe(END);
      const [first, second] = choice.prompt_logprobs ?? [];
      const expected = logprobAt(105, 1, 1);
      expect(first).toBeNull();
      expect(second?.['105']).toEqual({ logprob: expected.logprob, rank: expected.rank, decoded_token: 'i' });
      expect(second?.[String(expected.topTokens[0])]).toMatchObject({ logprob: expected.topLogprobs[0], rank: 1 });
      expect(Object.keys(second ?? {})).toHaveLength(2);
    }
  });

  test('log-probabilities: the chosen token is always there, offsets count code points', async () => {
    const engine = fakeEngine({ answers: { base: 'é!' } });
    const body = await createCompletion(engine, { model: 'base', prompt: 'x', logprobs: 0, temperature: 0 });
    const logprobs = body.choices[0]?.logprobs;
    expect(logprobs?.tokens).toEqual(['\ufffd', '\ufffd', '!', '<|end|>']);
    expect(logprobs?.text_offset).toEqual([0, 1, 2, 3]);
    expect(logprobs?.top_logprobs[2]).toEqual({ '!': logprobAt(33, 2, 0).logprob });
    expect(logprobs?.token_logprobs).toHaveLength(4);
  });

  test('the whole vocabulary: nothing is capped and nothing lost where tokens share a text', async () => {
    const engine = fakeEngine({ answers: { base: 'a' } });
    const body = await createCompletion(engine, { model: 'base', prompt: 'xy', logprobs: -1, prompt_logprobs: -1, temperature: 0 });
    const top = body.choices[0]?.logprobs?.top_logprobs[0] ?? {};
    expect(Object.keys(top)).toHaveLength(VOCABULARY);
    const { topTokens, topLogprobs } = logprobAt(97, 0, -1);
    const partial = [...topTokens].findIndex((id) => id >= 128 && id < 256);
    expect(top['\ufffd']).toBe(topLogprobs[partial]);
    const last = [...topTokens].findLastIndex((id) => id >= 128 && id < 256);
    expect(top[`token_id:${topTokens[last]}`]).toBe(topLogprobs[last]);
    expect(top[`token_id:${UNUSED}`]).toBe(topLogprobs[topTokens.indexOf(UNUSED)]);
    expect(Object.keys(body.choices[0]?.prompt_logprobs?.[1] ?? {})).toHaveLength(VOCABULARY);
  });

  test('return_tokens_as_token_ids', async () => {
    const asked = { model: 'base', prompt: 'x', logprobs: 1, max_tokens: 1, return_tokens_as_token_ids: true };
    const body = await createCompletion(fakeEngine({ answers: { base: 'a' } }), asked);
    expect(body.choices[0]?.logprobs?.tokens).toEqual(['token_id:97']);
  });

  test('stop strings are named as the reason', async () => {
    const body = await createCompletion(fakeEngine(), { model: 'base', prompt: 'Hi', stop: ' says', temperature: 0 });
    expect(body.choices[0]).toMatchObject({ text: 'base', finish_reason: 'stop', stop_reason: ' says' });
  });

  test('a model without tokenizer takes ids and gives ids', async () => {
    const engine = fakeEngine({ tokenizer: 'none' });
    const asked = { model: 'base', prompt: [65], logprobs: 2, prompt_logprobs: 0, return_token_ids: true, max_tokens: 1 };
    const body = await createCompletion(engine, { ...asked, prompt: [65, 66] });
    const [choice] = body.choices;
    expect(choice?.text).toBe('');
    expect(choice?.logprobs?.tokens).toEqual(['token_id:98']);
    expect(choice?.prompt_logprobs?.[1]?.['66']?.decoded_token).toBeNull();
    expect(await refused(createCompletion(engine, { model: 'base', prompt: 'Hi' }))).toMatchObject({
      status: 400,
      body: { error: { code: 'tokenizer_missing' } },
    });
    expect((await refused(createCompletion(engine, { ...asked, stop: 'x' }))).body.error.param).toBe('stop');
  });
});

describe('chat', () => {
  test('ids and prompt log-probabilities of the prompt are at the top', async () => {
    const asked = { model: 'base', messages, logprobs: true, top_logprobs: 2, prompt_logprobs: 0, return_token_ids: true, temperature: 0 };
    const body = await createChatCompletion(fakeEngine({ answers: { base: 'é' } }), asked);
    expect(body).toMatchObject({ object: 'chat.completion', prompt_token_ids: [257, 72, 105] });
    expect(body.prompt_logprobs).toHaveLength(3);
    const [choice] = body.choices;
    expect(choice).toMatchObject({ message: { role: 'assistant', content: 'é' }, token_ids: [0xc3, 0xa9, END], finish_reason: 'stop' });
    expect(choice).not.toHaveProperty('prompt_token_ids');
    const [first, , end] = choice?.logprobs?.content ?? [];
    expect(first).toMatchObject({ token: '\ufffd', bytes: [0xc3] });
    expect(first?.top_logprobs).toHaveLength(2);
    expect(end).toMatchObject({ token: '<|end|>', bytes: [...new TextEncoder().encode('<|end|>')] });
  });

  test('max_tokens: the rest of the context by default, 16 for completions, and never more than fits', async () => {
    const engine = fakeEngine({ maxModelLength: 10 });
    await createChatCompletion(engine, { model: 'base', messages });
    await createCompletion(engine, { model: 'base', prompt: 'abc' });
    expect(engine.calls.map((call) => call.options.maxTokens)).toEqual([undefined, 7]);
    const roomy = fakeEngine();
    await createCompletion(roomy, { model: 'base', prompt: 'abc' });
    expect(roomy.calls[0]?.options.maxTokens).toBe(16);
  });
});

describe('refusals', () => {
  test('a prompt with explicit max_tokens above the context', async () => {
    const engine = fakeEngine({ maxModelLength: 10 });
    await createCompletion(engine, { model: 'base', prompt: 'abc', max_tokens: 7 });
    const { status, body } = await refused(createCompletion(engine, { model: 'base', prompt: 'abc', max_tokens: 8 }));
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 'context_length_exceeded', param: 'prompt' });
    for (const number of ['10', '3', '8']) expect(body.error.message).toContain(number);
    const full = await refused(createChatCompletion(engine, { model: 'base', messages: [{ role: 'user', content: '123456789' }] }));
    expect(full).toMatchObject({ status: 400, body: { error: { code: 'context_length_exceeded', param: 'messages' } } });
  });

  test('an unknown model is 404 and the message lists what there is', async () => {
    const { status, body } = await refused(createChatCompletion(fakeEngine({ adapters: ['json'] }), { model: 'xml', messages }));
    expect(status).toBe(404);
    expect(body.error).toMatchObject({ code: 'model_not_found', param: 'model', type: 'invalid_request_error' });
    expect(body.error.message).toMatch(/"xml".*base, json/);
  });

  test('a blend runs on the base, and every name in it must be there', async () => {
    const engine = fakeEngine({ adapters: ['json', 'xml'] });
    const lora = [
      { name: 'json', scale: 0.5 },
      { name: 'xml', scale: -1 },
    ];
    const asked = { prompt: 'Hi', temperature: 0, max_tokens: 100 };
    const body = await createCompletion(engine, { model: 'base', lora, ...asked });
    expect(body).toMatchObject({ model: 'base', choices: [{ text: 'json*0.5+xml*-1 says Hi' }] });
    expect(engine.calls[0]?.options.adapter).toEqual([
      { id: 'json', scale: 0.5 },
      { id: 'xml', scale: -1 },
    ]);
    expect((await createCompletion(engine, { model: 'base', lora: [], ...asked })).choices[0]?.text).toBe('base says Hi');
    for (const model of ['json', 'nobody']) {
      const { status, body: refusal } = await refused(createCompletion(engine, { model, lora, ...asked }));
      expect(status).toBe(400);
      expect(refusal.error).toMatchObject({ code: 'invalid_value', param: 'lora' });
      expect(refusal.error.message).toMatch(new RegExp(`base.*"${model}"`));
    }
    const missing = await refused(createChatCompletion(engine, { model: 'base', messages, lora: [...lora, { name: 'csv', scale: 1 }] }));
    expect(missing).toMatchObject({ status: 404, body: { error: { code: 'model_not_found', param: 'lora' } } });
    expect(missing.body.error.message).toMatch(/"csv".*json, xml/);
    expect(missing.body.error.message).not.toContain('"json"');
  });

  test('what the engine says of an adapter is said of the field that named it', async () => {
    const tooLarge = new WebLoraError('adapter_too_large', 'too large', { param: 'adapter' });
    const engine: FakeEngine = {
      ...fakeEngine({ adapters: ['json'] }),
      generate: () => ({ result: () => Promise.reject(tooLarge), [Symbol.asyncIterator]: () => expect.fail('nobody iterates') }),
    };
    const alone = await refused(createCompletion(engine, { model: 'json', prompt: 'Hi' }));
    expect(alone.body.error).toMatchObject({ code: 'adapter_too_large', param: 'model', message: 'too large' });
    const blend = await refused(createCompletion(engine, { model: 'base', prompt: 'Hi', lora: [{ name: 'json', scale: 1 }] }));
    expect(blend.body.error).toMatchObject({ code: 'adapter_too_large', param: 'lora' });
  });

  test('an empty prompt is 400', async () => {
    expect(await refused(createCompletion(fakeEngine(), { model: 'base', prompt: '' }))).toMatchObject({
      status: 400,
      body: { error: { param: 'prompt', code: 'invalid_value' } },
    });
  });

  test('the first failure cancels the request’s other generations', async () => {
    const engine = fakeEngine();
    const { status } = await refused(createCompletion(engine, { model: 'base', prompt: ['HANG', 'FAIL'], n: 2 }));
    expect(status).toBe(500);
    expect(engine.cancelled()).toBe(2);
  });

  test('a caller’s signal ends the request', async () => {
    const engine: FakeEngine = fakeEngine();
    const controller = new AbortController();
    const running = refused(createCompletion(engine, { model: 'base', prompt: 'HANG' }, { signal: controller.signal }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort();
    expect((await running).status).toBe(499);
    expect(engine.cancelled()).toBe(1);
  });

  test('errors of the engine keep their names', () => {
    expect(errorResponse(new WebLoraError('device_lost', 'gone'))).toMatchObject({
      status: 503,
      body: { error: { code: 'device_lost', type: 'server_error' } },
    });
    for (const code of ['overloaded', 'deadline_exceeded'] as const) {
      const param = code === 'overloaded' ? undefined : 'firstTokenDeadlineMs';
      const { status, body } = errorResponse(new WebLoraError(code, 'later', param === undefined ? {} : { param }));
      expect(status).toBe(503);
      expect(body.error).toEqual({
        code,
        type: 'server_error',
        message: 'later',
        param: param === undefined ? null : 'first_token_deadline_ms',
      });
    }
    expect(errorResponse(new WebLoraError('request_invalid', 'x', { param: 'maxTokens' })).body.error.param).toBe('max_tokens');
    expect(errorResponse(new RangeError('oops'))).toMatchObject({ status: 500, body: { error: { code: 'internal_error' } } });
    expect(errorResponse('oops').body.error.message).toContain('oops');
  });
});

describe('names', () => {
  test('of the base model', () => {
    expect(baseNames('models/frontdesk/base/')).toEqual(['base', 'models/frontdesk/base/']);
    expect(baseNames('C:\\models\\base')).toEqual(['base', 'C:\\models\\base']);
    expect(baseNames('base')).toEqual(['base']);
    expect(baseNames('models/base', 'shop')).toEqual(['shop']);
  });

  test('of tokens: a part of a code point has its raw byte', () => {
    const names = tokenNames(byteTokenizer);
    for (let byte = 0; byte < 256; byte++) expect(names.bytes(byte)).toEqual([byte]);
  });

  test('of tokens: the space that begins a word is kept where a decoder drops it at the start of a text', () => {
    const words = {
      ...byteTokenizer,
      token: (id: number) => ['▁Hi', '<0xC3>'][id],
      decode: (ids: readonly number[]) => (ids[0] === 0 ? ids.map(() => 'Hi').join(' ') : ids.map(() => '\ufffd').join('')),
    };
    const names = tokenNames(words);
    expect(names.text(0)).toBe(' Hi');
    expect(names.bytes(0)).toEqual([32, 72, 105]);
    expect(names.bytes(1)).toEqual([0xc3]);
    expect(names.text(2)).toBeUndefined();
  });
});
