import { describe, expect, test, vi } from 'vitest';
import type { Chunk, Result } from '../../src/engine/types.ts';
import { WebLoraError } from '../../src/errors.ts';
import { sourceFromWire, sourceToWire } from '../../src/rpc/wire.ts';
import { connected, connectedToFake, player, readAll, rejection, turns } from './rpc-harness.ts';

const chunk = (text: string, token: number): Chunk => ({ text, tokens: [token] });
const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 2 };
const result: Result = { text: 'ab', tokens: [1, 2], promptTokens: [9], finish: 'length', usage };

/** Messages of the worker beside comlink's: those with tokens and events. */
function countMessages(): () => number {
  const post = vi.spyOn(MessagePort.prototype, 'postMessage');
  return () => {
    const count = post.mock.calls.filter(([message]) => Array.isArray((message as { weblora?: unknown }).weblora)).length;
    post.mockClear();
    return count;
  };
}

describe('an engine behind a worker', () => {
  test('answers as the engine itself does', async () => {
    const { engine, fake } = await connectedToFake({ adapters: ['pirate'] });
    expect(await engine.stats()).toStrictEqual(await fake.stats());
    expect(await engine.model()).toStrictEqual(await fake.model());
    expect(await engine.tokenize('hi')).toStrictEqual(await fake.tokenize('hi'));
    expect(await engine.adapters.list()).toStrictEqual(await fake.adapters.list());
    expect(await engine.adapters.load('pirate')).toMatchObject({ id: 'pirate' });
    const options = { adapter: 'pirate', logprobs: 2, promptLogprobs: 1, maxTokens: 5 };
    expect(await engine.generate('hi', options).result()).toStrictEqual(await fake.generate('hi', options).result());
    expect(await readAll(engine.generate('hi', { adapter: 'pirate' }))).toHaveLength(2);
    await engine.close();
  });

  test('every option of a request crosses as it is', async () => {
    const { engine, fake } = await connectedToFake({ adapters: ['a', 'b'] });
    const options = {
      adapter: [
        { id: 'a', scale: 0.5 },
        { id: 'b', scale: -1 },
      ],
      temperature: 0,
      topK: -1,
      topP: 0.9,
      minP: 0.1,
      repetitionPenalty: 1.1,
      presencePenalty: -2,
      frequencyPenalty: 2,
      logitBias: { 7: -100, 8: 0.5 },
      tenant: 'shop',
      priority: -3,
      firstTokenDeadlineMs: 250.5,
      cacheSalt: 'salt',
    };
    const { text, usage } = await engine.generate('hi', options).result();
    expect(text).toBe('a*0.5+b*-1 says hi');
    expect(usage.cachedTokens).toBe(0);
    const { signal, ...crossed } = fake.calls[0]!.options;
    expect(signal).toBeInstanceOf(AbortSignal);
    expect(crossed).toStrictEqual(options);
    const whole = await engine.completions.create({
      model: 'base',
      lora: [{ name: 'b', scale: 2 }],
      prompt: 'hi',
      temperature: 0,
      max_tokens: 50,
    });
    expect(whole).toMatchObject({ choices: [{ text: 'b*2 says hi' }], usage: { prompt_tokens_details: { cached_tokens: 0 } } });
    const missing = rejection(engine.completions.create({ model: 'base', lora: [{ name: 'c', scale: 2 }], prompt: 'hi' }));
    expect(await missing).toMatchObject({ code: 'adapter_unknown', param: 'lora' });
    await engine.close();
  });

  test('the options of an engine do too', async () => {
    const given = {
      limits: { sequences: 1, batchRows: 2, prefillChunk: 3, queue: 4, adapters: 5, stepMs: 6.5 },
      fairness: { tenants: { shop: 2 }, adapters: { json: 0.5 } },
      prefixCache: false,
    };
    const { engine, options } = await connected(player(), given);
    expect(options).toMatchObject(given);
    await engine.close();
  });

  test('bytes cross by file name, those of a view alone', () => {
    const memory = Uint8Array.from({ length: 100 }, (_, index) => index);
    const wire = structuredClone(sourceToWire({ view: memory.subarray(5, 8), buffer: memory.buffer }));
    expect(sourceFromWire(wire, undefined)).toStrictEqual({ view: Uint8Array.of(5, 6, 7), buffer: memory.buffer });
    expect(wire).toHaveProperty('bytes.view.buffer.byteLength', 3);
  });

  test('has OpenAI’s face', async () => {
    const { engine } = await connectedToFake({ adapters: ['pirate'] });
    const messages = [{ role: 'user', content: 'hi' }];
    const greedy = { temperature: 0, max_tokens: 100 };
    const whole = await engine.chat.completions.create({ model: 'pirate', messages, ...greedy });
    expect(whole.choices[0]!.message.content).toBe('pirate says hi');
    const chunks = await readAll(await engine.chat.completions.create({ model: 'pirate', messages, ...greedy, stream: true }));
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('pirate says hi');
    const text = await engine.completions.create({ model: 'base', prompt: 'hi', ...greedy });
    expect(text.choices[0]!.text).toBe('base says hi');
    expect((await engine.models.list()).data.map(({ id }) => id)).toEqual(['base', 'pirate']);
    const refused = await rejection(engine.completions.create({ model: 'base', prompt: 'hi', temperature: Number.NaN }));
    expect(refused).toMatchObject({ code: 'request_invalid', param: 'temperature' });
    expect(String(refused)).toContain('NaN');
    await engine.close();
  });

  test('takes calls in the order in which they were made', async () => {
    const { engine, fake } = await connectedToFake();
    const added = engine.adapters.add('late', 'https://example.org/late');
    const before = engine.generate('hi', { adapter: 'late' }).result();
    const removed = engine.adapters.remove('late');
    const after = engine.generate('hi', { adapter: 'late' }).result();
    expect((await before).text).toBe('late says hi');
    expect(await rejection(after)).toMatchObject({ code: 'adapter_unknown' });
    await Promise.all([added, removed]);
    const last = engine.generate('hi').result();
    await engine.close();
    expect((await last).text).toBe('base says hi');
    expect(fake.calls).toHaveLength(3);
  });

  test('nine streams cost one message a step', async () => {
    const core = player();
    const { engine } = await connected(core);
    const read = Array.from({ length: 9 }, (_, index) => readAll(engine.generate(`p${index}`)));
    await turns();
    const messages = countMessages();
    for (let step = 0; step < 5; step++) {
      for (const stream of core.played) stream.push(chunk('a', step));
      await turns();
      expect(messages()).toBe(1);
    }
    for (const stream of core.played) stream.end(result);
    expect((await Promise.all(read)).map((chunks) => chunks.length)).toEqual(Array.from({ length: 9 }, () => 5));
    expect(messages()).toBe(1);
    vi.restoreAllMocks();
    await engine.close();
  });

  test('a slow reader gets what it missed as one chunk', async () => {
    const core = player();
    const { engine } = await connected(core);
    const generation = engine.generate('hi');
    await turns();
    for (const [index, text] of ['a', 'b', 'c'].entries()) {
      core.played[0]!.push(chunk(text, index));
      await turns();
    }
    core.played[0]!.end(result);
    await turns();
    expect(await readAll(generation)).toEqual([{ text: 'abc', tokens: [0, 1, 2] }]);
    expect(await generation.result()).toStrictEqual(result);
    await engine.close();
  });

  test('events arrive, and a slow listener loses none', async () => {
    const core = player();
    const { engine } = await connected(core);
    const events = engine.events()[Symbol.asyncIterator]();
    const event = (at: number) => ({ version: 1 as const, at, steps: [{ ms: at, rows: { a: at } }], adapters: [], requests: [] });
    const first = events.next();
    await turns();
    core.tell(event(1));
    expect((await first).value).toEqual(event(1));
    core.tell(event(2));
    await turns();
    core.tell(event(3));
    await turns();
    expect((await events.next()).value).toEqual({ ...event(3), steps: [...event(2).steps, ...event(3).steps] });
    await engine.close();
    expect(await readAll(engine.events())).toEqual([]);
  });

  test('a listener that leaves is forgotten', async () => {
    let left = 0;
    const iterator = {
      next: () => new Promise<never>(() => undefined),
      return: async () => ({ done: true as const, value: ++left }),
    };
    const { engine } = await connected({ ...player(), events: () => ({ [Symbol.asyncIterator]: () => iterator }) });
    await engine.events()[Symbol.asyncIterator]().return?.();
    await vi.waitFor(() => expect(left).toBe(1));
    await engine.close();
  });
});

describe('cancelling behind a worker', () => {
  test('leaving the loop cancels', async () => {
    const core = player();
    const { engine } = await connected(core);
    const generation = engine.generate('hi');
    await turns();
    core.played[0]!.push(chunk('a', 1));
    for await (const { text } of generation) {
      expect(text).toBe('a');
      break;
    }
    expect(await rejection(generation.result())).toMatchObject({ name: 'AbortError', message: expect.stringContaining('reader left') });
    expect(core.played[0]!.options.signal!.aborted).toBe(true);
    await engine.close();
  });

  test('a signal ends it with its own reason', async () => {
    const core = player();
    const { engine } = await connected(core);
    const controller = new AbortController();
    const reason = { why: () => 'a function cannot cross' };
    const generation = engine.generate('hi', { signal: controller.signal });
    controller.abort(reason);
    expect(await rejection(generation.result())).toBe(reason);
    expect(await rejection(engine.generate('hi', { signal: controller.signal }).result())).toBe(reason);
    expect(await rejection(engine.adapters.load('x', { signal: controller.signal }))).toBe(reason);
    expect(core.played).toHaveLength(1);
    await engine.close();
  });

  test('OpenAI’s calls and streams too', async () => {
    const core = player();
    const { engine } = await connected(core);
    const controller = new AbortController();
    const body = { model: 'base', prompt: 'hi' };
    const whole = rejection(engine.completions.create(body, { signal: controller.signal }));
    await turns();
    controller.abort('enough');
    expect(await whole).toBe('enough');
    const streaming = engine.completions.create({ ...body, stream: true });
    await vi.waitFor(() => expect(core.played).toHaveLength(2));
    core.played[1]!.push(chunk('a', 97));
    for await (const { choices } of await streaming) {
      expect(choices[0]!.text).toBe('a');
      break;
    }
    await vi.waitFor(() => expect(core.played[1]!.options.signal!.aborted).toBe(true));
    await engine.close();
  });

  test.each(['while it waits', 'between two chunks'])('a signal ends a loop over OpenAI’s chunks with its reason, %s', async (when) => {
    const core = player();
    const { engine } = await connected(core);
    const controller = new AbortController();
    const streaming = engine.completions.create({ model: 'base', prompt: 'hi', stream: true }, { signal: controller.signal });
    await vi.waitFor(() => expect(core.played).toHaveLength(1));
    core.played[0]!.push(chunk('a', 97));
    const read = async (): Promise<void> => {
      for await (const { choices } of await streaming) {
        expect(choices[0]!.text).toBe('a');
        setTimeout(() => controller.abort('enough'), when === 'while it waits' ? 20 : 0);
        if (when === 'between two chunks') await turns(5);
      }
    };
    expect(await rejection(read())).toBe('enough');
    await engine.close();
  });
});

describe('errors across a worker', () => {
  async function crossed(error: unknown): Promise<unknown> {
    const core = player();
    const stats = async (): Promise<never> => {
      throw error;
    };
    const { engine } = await connected({ ...core, stats });
    const caught = await rejection(engine.stats());
    await engine.close();
    return caught;
  }

  test('keep class, code, param, cause and stack', async () => {
    const native = new RangeError('too far', { cause: 'a string' });
    const cause = new WebLoraError('file_missing', 'no such file', { cause: native });
    const sent = new WebLoraError('request_invalid', 'wrong', { param: 'seed', cause });
    const got = (await crossed(sent)) as WebLoraError;
    expect(got).toBeInstanceOf(WebLoraError);
    expect(got).not.toBe(sent);
    expect(got).toMatchObject({ code: 'request_invalid', message: 'wrong', param: 'seed', stack: sent.stack });
    expect(got.cause).toBeInstanceOf(WebLoraError);
    expect((got.cause as WebLoraError).cause).toBeInstanceOf(RangeError);
    expect(((got.cause as WebLoraError).cause as Error).cause).toBe('a string');
  });

  test.each(['overloaded', 'deadline_exceeded', 'device_lost'] as const)('%s stays what it is', async (code) => {
    const got = await crossed(new WebLoraError(code, 'not now', { param: 'firstTokenDeadlineMs' }));
    expect(got).toBeInstanceOf(WebLoraError);
    expect(got).toMatchObject({ code, message: 'not now', param: 'firstTokenDeadlineMs' });
  });

  test('JavaScript’s own keep theirs', async () => {
    expect(await crossed(new TypeError('t'))).toBeInstanceOf(TypeError);
    const dom = await crossed(new DOMException('d', 'QuotaExceededError'));
    expect(dom).toBeInstanceOf(DOMException);
    expect(dom).toMatchObject({ name: 'QuotaExceededError', message: 'd' });
    const other = Object.assign(new Error('gone'), { name: 'NotFound', code: 'ENOENT' });
    expect(await crossed(other)).toMatchObject({ name: 'NotFound', code: 'ENOENT', message: 'gone' });
    const loop = new Error('a loop');
    loop.cause = loop;
    expect(await crossed(loop)).toMatchObject({ message: 'a loop' });
    expect(await crossed({ toString: () => 'words' })).toBe('words');
    expect(await crossed(Symbol('s'))).toBe('Symbol(s)');
    expect(await crossed(null)).toBe(null);
  });

  test('what cannot be cloned is refused by name', async () => {
    const { engine } = await connectedToFake();
    const unknown = { bad: () => 1 } as object;
    expect(await rejection(engine.generate('hi', unknown).result())).toMatchObject({
      name: 'TypeError',
      message: expect.stringContaining('generate'),
    });
    expect(await rejection(engine.tokenize(Symbol('s') as never))).toBeInstanceOf(TypeError);
    expect((await engine.generate('hi').result()).text).toBe('base says hi');
    await engine.close();
  });
});
