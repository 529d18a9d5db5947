import { describe, expect, test } from 'vitest';
import { withOpenAI } from '../../src/openai/face.ts';
import type { ChatCompletionRequest } from '../../src/openai/types.ts';
import { fakeEngine } from './fake-engine.ts';
import { stepper, turn } from './openai-stepper.ts';

const messages = [{ role: 'user', content: 'Hi' }];

test('whole answers are plain JSON', async () => {
  const engine = withOpenAI(fakeEngine({ adapters: ['json'] }));
  const chat = await engine.chat.completions.create({ model: 'json', messages, temperature: 0, logprobs: true, top_logprobs: 3 });
  expect(chat.choices[0]?.message.content).toBe('json says Hi');
  const completion = await engine.completions.create({ model: 'base', prompt: [72], prompt_logprobs: 2, return_token_ids: true });
  for (const body of [chat, completion]) expect(structuredClone(body)).toEqual(JSON.parse(JSON.stringify(body)));
});

test('the base answers to its name and to where it was read from', async () => {
  const engine = withOpenAI(fakeEngine(), { source: './models/base' });
  const { choices, model } = await engine.completions.create({ model: './models/base', prompt: 'Hi', temperature: 0 });
  expect([model, choices[0]?.text]).toEqual(['./models/base', 'base says Hi']);
  await expect(engine.completions.create({ model: 'models', prompt: 'Hi' })).rejects.toMatchObject({ code: 'adapter_unknown' });
});

test('models are the base and every adapter', async () => {
  const engine = withOpenAI(fakeEngine({ adapters: ['json', 'xml'] }));
  const { object, data } = await engine.models.list();
  expect(object).toBe('list');
  expect(data.map(({ id, root, parent }) => [id, root, parent])).toEqual([
    ['base', 'base', undefined],
    ['json', '/adapters/json', 'base'],
    ['xml', '/adapters/xml', 'base'],
  ]);
  for (const model of data) {
    expect(model).toMatchObject({ object: 'model', owned_by: 'weblora' });
    expect(Math.abs(model.created - Date.now() / 1000)).toBeLessThan(60);
  }
});

describe('a body', () => {
  test('may be changed as soon as it was given', async () => {
    const core = fakeEngine();
    const list = [...messages];
    const answer = withOpenAI(core).chat.completions.create({ model: 'base', messages: list, temperature: 0 });
    list.push({ role: 'assistant', content: '…' });
    expect((await answer).choices[0]?.message.content).not.toContain('…');
  });

  test('may be a proxy, as frameworks make them', async () => {
    const list = new Proxy([...messages], {});
    const { choices } = await withOpenAI(fakeEngine()).chat.completions.create({ model: 'base', messages: list });
    expect(choices).toHaveLength(1);
  });

  test.each([
    [{ temperature: Number.NaN }, 'temperature'],
    [{ max_tokens: Number.POSITIVE_INFINITY }, 'max_tokens'],
    [{ prompt: [1, Number.NaN] }, 'prompt'],
  ])('with %o is refused, not read as if it were absent', async (fields, param) => {
    const create = withOpenAI(fakeEngine()).completions.create({ model: 'base', prompt: 'x', ...fields });
    await expect(create).rejects.toMatchObject({ code: 'request_invalid', param });
  });

  test('must be there', async () => {
    const create = withOpenAI(fakeEngine()).chat.completions.create(undefined as unknown as ChatCompletionRequest);
    await expect(create).rejects.toMatchObject({ code: 'request_invalid' });
  });
});

test('an option that does not exist is a TypeError', async () => {
  const options = { timeout: 5 } as object;
  const { create } = withOpenAI(fakeEngine()).completions;
  await expect(create({ model: 'base', prompt: 'x' }, options)).rejects.toThrow(TypeError);
  const signal = new AbortController() as unknown as AbortSignal;
  await expect(create({ model: 'base', prompt: 'x' }, { signal })).rejects.toMatchObject({ code: 'request_invalid', param: 'signal' });
});

describe('order', () => {
  test('calls take effect as they were made, though a request is long on its way', async () => {
    const core = stepper({ answers: { a: 'A', b: 'B', base: 'C' } });
    const engine = withOpenAI(core);
    const adding = engine.adapters.add('a', '/a');
    const first = engine.chat.completions.create({ model: 'a', messages });
    const removing = engine.adapters.remove('a');
    const adding2 = engine.adapters.add('b', '/b');
    const prompt = [1, 2];
    const generation = engine.generate(prompt, { adapter: 'b' });
    prompt.length = 0;
    const second = engine.completions.create({ model: 'b', prompt: 'x' });
    const third = engine.generate([3]);
    await Promise.all([adding, removing, adding2]);
    while (core.jobs.length < 4) await turn();
    expect(core.log).toEqual(['add a', 'generate a', 'remove a', 'add b', 'generate b', 'generate b', 'generate base']);
    for (let step = 0; step < 3; step++) await core.step();
    expect((await first).choices[0]?.message.content).toBe('A');
    expect((await second).choices[0]?.text).toBe('B');
    expect(await generation.result()).toMatchObject({ text: 'B', promptTokens: [1, 2] });
    const texts: string[] = [];
    for await (const chunk of third) texts.push(chunk.text);
    expect(texts.join('')).toBe('C');
  });

  test('a request that is refused holds nobody up', async () => {
    const core = stepper();
    const engine = withOpenAI(core);
    const refused = engine.chat.completions.create({ model: 'base', messages: [] });
    await Promise.all([expect(refused).rejects.toThrow('messages'), engine.adapters.add('a', '/a')]);
    engine.generate([1]);
    expect(core.log).toEqual(['add a', 'generate base']);
  });
});

test('the engine’s own text is not on the face', () => {
  expect(withOpenAI(fakeEngine())).not.toHaveProperty('text');
});
