import { describe, expect, test } from 'vitest';
import { withOpenAI } from '../../src/openai/face.ts';
import type { ChatCompletionChunk, CompletionChunk } from '../../src/openai/types.ts';
import { END } from './fake-engine.ts';
import { stepper, turn } from './openai-stepper.ts';
import type { Stepper } from './openai-stepper.ts';

const messages = [{ role: 'user', content: 'Hi' }];
const OPEN = { logprobs: null, finish_reason: null, stop_reason: null };

/** Steps until the promise settles. */
async function driven<T>(core: Stepper, promise: Promise<T>): Promise<T> {
  const settled = promise.then(
    () => 'settled' as const,
    () => 'settled' as const,
  );
  for (let step = 0; step < 1000; step++) {
    if ((await Promise.race([settled, core.step()])) === 'settled') break;
  }
  return promise;
}

function all<T>(core: Stepper, stream: Promise<AsyncIterable<T>>): Promise<T[]> {
  const read = async (): Promise<T[]> => {
    const chunks: T[] = [];
    for await (const chunk of await stream) chunks.push(chunk);
    return chunks;
  };
  return driven(core, read());
}

describe('chat', () => {
  test('role, text, reason, usage, and one envelope', async () => {
    const core = stepper({ answers: { base: 'abc' } });
    const body = { model: 'base', messages, stream: true, stream_options: { include_usage: true } } as const;
    const chunks: ChatCompletionChunk[] = await all(core, withOpenAI(core).chat.completions.create(body));
    const [{ id, created } = { id: '', created: 0 }] = chunks;
    expect(id).toMatch(/^chatcmpl-[0-9a-f]{24}$/);
    const shared = { id, created, object: 'chat.completion.chunk', model: 'base' };
    const part = (choice: object): object => ({ ...shared, choices: [{ index: 0, ...OPEN, ...choice }], usage: null });
    expect(chunks).toEqual([
      part({ delta: { role: 'assistant', content: '' } }),
      part({ delta: { content: 'a' } }),
      part({ delta: { content: 'b' } }),
      part({ delta: { content: 'c' } }),
      part({ delta: {}, finish_reason: 'stop' }),
      {
        ...shared,
        choices: [],
        usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7, prompt_tokens_details: { cached_tokens: 0 } },
      },
    ]);
  });

  test('without stream_options no chunk tells of usage', async () => {
    const core = stepper();
    for (const chunk of await all(core, withOpenAI(core).chat.completions.create({ model: 'base', messages, stream: true }))) {
      expect(chunk).not.toHaveProperty('usage');
    }
  });

  test('the chunks of n choices alternate, and add up to the whole answer', async () => {
    const core = stepper();
    const body = { model: 'base', messages, n: 3, seed: 98, temperature: 1, logprobs: true, top_logprobs: 2, return_token_ids: true };
    const whole = await driven(core, withOpenAI(core).chat.completions.create(body));
    const chunks = await all(core, withOpenAI(core).chat.completions.create({ ...body, stream: true }));
    const order = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.index));
    expect(order.slice(0, 12)).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
    expect(new Set(whole.choices.map((choice) => choice.message.content))).toEqual(new Set(['#98', '#99', '#100']));
    for (const { index, message, logprobs, token_ids, finish_reason } of whole.choices) {
      const parts = chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.index === index);
      expect(parts.map((choice) => choice.delta.content ?? '').join('')).toBe(message.content);
      expect(parts.flatMap((choice) => choice.logprobs?.content ?? [])).toEqual(logprobs?.content);
      expect(parts.flatMap((choice) => choice.token_ids ?? [])).toEqual(token_ids);
      expect(parts.map((choice) => choice.finish_reason)).toEqual([...parts.slice(1).map(() => null), finish_reason]);
    }
    expect(chunks.map((chunk) => chunk.prompt_token_ids)).toEqual([whole.prompt_token_ids, ...chunks.slice(1).map(() => undefined)]);
  });

  test('tokens without text make no chunk unless something is to be told of them', async () => {
    const core = stepper({ answers: { base: 'é' } });
    const { create } = withOpenAI(core).chat.completions;
    const contents = async (fields: object): Promise<unknown[]> => {
      const chunks = await all(core, create({ model: 'base', messages, ...fields, stream: true }));
      return chunks.map((chunk) => chunk.choices[0]?.delta.content);
    };
    expect(await contents({})).toEqual(['', 'é', undefined]);
    expect(await contents({ logprobs: true })).toEqual(['', '', 'é', '', undefined]);
    expect(await contents({ return_token_ids: true })).toEqual(['', '', 'é', '', undefined]);
  });

  test('what a slow reader missed comes as one chunk', async () => {
    const core = stepper({ answers: { base: 'abcdef' } });
    const stream = await driven(core, withOpenAI(core).chat.completions.create({ model: 'base', messages, stream: true }));
    for (let step = 0; step < 8; step++) await core.step();
    const texts: (string | undefined)[] = [];
    for await (const chunk of stream) texts.push(chunk.choices[0]?.delta.content);
    expect(texts).toEqual(['', 'a', 'bcdef', undefined]);
  });
});

describe('completions', () => {
  test('prompts × n choices, without a role', async () => {
    const core = stepper();
    const body = { model: 'base', prompt: ['x', 'yz'], n: 2, seed: 7, stream: true, stream_options: { include_usage: true } } as const;
    const chunks: CompletionChunk[] = await all(core, withOpenAI(core).completions.create(body));
    expect(chunks[0]).toMatchObject({ object: 'text_completion', choices: [{ index: 0, text: '#', ...OPEN }], usage: null });
    expect(chunks.slice(0, 4).map((chunk) => chunk.choices[0]?.index)).toEqual([0, 1, 2, 3]);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 12, total_tokens: 15 } });
    const last = chunks.slice(-5, -1).map((chunk) => chunk.choices[0]);
    expect(last).toEqual([0, 1, 2, 3].map((index) => ({ index, text: '', logprobs: null, finish_reason: 'stop', stop_reason: null })));
  });

  test('tokens that were computed before the request are counted as in a whole answer, whoever ends first', async () => {
    const cached = [16, 32, 48, 48];
    const core = stepper({ cached: (request) => cached[request] ?? 0 });
    // #99 ends a step before #100.
    const body = { model: 'base', prompt: ['x', 'y'], n: 2, seed: 99, stream: true, stream_options: { include_usage: true } } as const;
    const chunks = await all(core, withOpenAI(core).completions.create(body));
    expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 2, prompt_tokens_details: { cached_tokens: 64 } });
  });

  test('every choice begins with the ids of its own prompt where they are asked for', async () => {
    const core = stepper();
    const body = { model: 'base', prompt: ['x', 'y'], n: 2, stream: true, return_token_ids: true } as const;
    const chunks = await all(core, withOpenAI(core).completions.create(body));
    expect(chunks.flatMap((chunk) => chunk.choices.flatMap((choice) => choice.prompt_token_ids ?? []))).toEqual([120, 120, 121, 121]);
  });

  test('log-probabilities add up to those of the whole answer, offsets too', async () => {
    const core = stepper({ answers: { base: 'aé!' } });
    const body = { model: 'base', prompt: 'x', logprobs: 2, return_token_ids: true, temperature: 0 };
    const whole = (await driven(core, withOpenAI(core).completions.create(body))).choices[0];
    const chunks = await all(core, withOpenAI(core).completions.create({ ...body, stream: true }));
    const parts = chunks.flatMap((chunk) => chunk.choices);
    for (const list of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset'] as const) {
      expect(parts.flatMap((choice) => (choice.logprobs?.[list] as unknown[]) ?? [])).toEqual(whole?.logprobs?.[list]);
    }
    expect(whole?.logprobs?.text_offset).toEqual([0, 1, 2, 3, 4]);
    expect(parts.flatMap((choice) => choice.token_ids ?? []).at(-1)).toBe(END);
    expect(parts[0]?.prompt_token_ids).toEqual([120]);
  });
});

describe('ends', () => {
  test('leaving the loop cancels all choices', async () => {
    const core = stepper({ answers: { base: 'a long one' } });
    const stream = await driven(core, withOpenAI(core).chat.completions.create({ model: 'base', messages, n: 4, stream: true }));
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content !== '') break;
    expect(core.jobs.map((job) => job.state)).toEqual(['over', 'over', 'over', 'over']);
    for await (const chunk of stream) expect.fail(`went on with ${JSON.stringify(chunk)}`);
  });

  test('a reader may leave while it waits', async () => {
    const core = stepper({ answers: { base: 'ab' } });
    const stream = await driven(core, withOpenAI(core).completions.create({ model: 'base', prompt: 'x', stream: true }));
    const reader = stream[Symbol.asyncIterator]();
    await reader.next();
    const waiting = reader.next();
    await reader.return?.();
    expect(core.jobs[0]?.state).toBe('over');
    expect(await waiting).toEqual({ done: true, value: undefined });
  });

  test('what refuses a request rejects the call', async () => {
    const core = stepper();
    const create = withOpenAI(core).chat.completions.create;
    await expect(driven(core, create({ model: 'nobody', messages, n: 2, stream: true }))).rejects.toMatchObject({
      code: 'adapter_unknown',
      param: 'model',
    });
    await expect(create({ model: 'base', messages: [], stream: true })).rejects.toMatchObject({ param: 'messages' });
    expect(core.jobs.map((job) => job.state)).toEqual(['over', 'over']);
  });

  test('a choice that fails at once rejects the call and cancels the others', async () => {
    const core = stepper({ fails: (request) => (request === 0 ? 0 : undefined) });
    const create = withOpenAI(core).completions.create({ model: 'base', prompt: ['x', 'y'], stream: true });
    await expect(driven(core, create)).rejects.toMatchObject({ code: 'not_finite' });
    expect(core.jobs.map((job) => job.state)).toEqual(['over', 'over']);
  });

  test('a choice that fails later ends the loop and cancels the others', async () => {
    const core = stepper({ answers: { base: 'abcdef' }, fails: (request) => (request === 1 ? 2 : undefined) });
    const create = withOpenAI(core).completions.create({ model: 'base', prompt: 'x', n: 3, stream: true });
    const stream = await driven(core, create);
    const texts: string[] = [];
    const read = async (): Promise<void> => {
      for await (const chunk of stream) texts.push(chunk.choices[0]?.text ?? '');
    };
    await expect(driven(core, read())).rejects.toMatchObject({ code: 'not_finite' });
    expect(texts).toEqual(['a', 'a', 'a', 'b', 'b', 'b', 'c']);
    expect(core.jobs.map((job) => job.state)).toEqual(['over', 'over', 'over']);
  });

  test('a signal ends the call before the first token, and the loop after it', async () => {
    const core = stepper({ answers: { base: 'abcdef' } });
    const { create } = withOpenAI(core).completions;
    const early = new AbortController();
    const pending = create({ model: 'base', prompt: 'x', stream: true }, { signal: early.signal });
    while (core.jobs.length === 0) await turn();
    early.abort(new Error('too late'));
    await expect(pending).rejects.toThrow('too late');
    const late = new AbortController();
    const stream = await driven(core, create({ model: 'base', prompt: 'x', stream: true }, { signal: late.signal }));
    const read = async (): Promise<void> => {
      for await (const chunk of stream) late.abort(new Error(`enough: ${chunk.choices[0]?.text}`));
    };
    await expect(read()).rejects.toThrow('enough: a');
  });
});
