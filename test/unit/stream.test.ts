import { describe, expect, test } from 'vitest';
import { createStream } from '../../src/engine/stream.ts';
import type { Chunk, Result, TokenLogprob } from '../../src/engine/types.ts';

const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 3 };
const result: Result = { text: 'abc', tokens: [1, 2, 3], promptTokens: [9], finish: 'length', usage };
const logprob = (token: number): TokenLogprob => ({
  token,
  logprob: -1,
  rank: 1,
  topTokens: new Uint32Array(),
  topLogprobs: new Float32Array(),
});
const chunk = (text: string, token: number): Chunk => ({ text, tokens: [token], logprobs: [logprob(token)] });

function uncancelled(): never {
  throw new Error('cancelled');
}

async function readAll(chunks: AsyncIterable<Chunk>): Promise<Chunk[]> {
  const read: Chunk[] = [];
  for await (const each of chunks) read.push(each);
  return read;
}

describe('stream', () => {
  test('a waiting reader gets each chunk, a late one gets them as one', async () => {
    const { generation, push, end } = createStream(uncancelled);
    const reader = generation[Symbol.asyncIterator]();
    const first = reader.next();
    push(chunk('a', 1));
    expect(await first).toEqual({ done: false, value: chunk('a', 1) });
    push(chunk('b', 2));
    push(chunk('c', 3));
    push({ text: '', tokens: [], finish: 'length', usage });
    const rest: Chunk = { text: 'bc', tokens: [2, 3], logprobs: [logprob(2), logprob(3)], finish: 'length', usage };
    expect(await reader.next()).toEqual({ done: false, value: rest });
    const last = reader.next();
    end(result);
    expect(await last).toEqual({ done: true, value: undefined });
    expect(await generation.result()).toBe(result);
  });

  test('chunks without logprobs or finish have none', async () => {
    const { generation, push, end } = createStream(uncancelled);
    push({ text: 'a', tokens: [1] });
    push({ text: 'b', tokens: [2] });
    end(result);
    expect(await readAll(generation)).toStrictEqual([{ text: 'ab', tokens: [1, 2] }]);
  });

  test('reads that wait together are answered in order', async () => {
    const { generation, push, end } = createStream(uncancelled);
    const reader = generation[Symbol.asyncIterator]();
    const reads = Promise.all([reader.next(), reader.next(), reader.next()]);
    push(chunk('a', 1));
    push(chunk('b', 2));
    end(result);
    expect((await reads).map((step) => step.value?.text)).toEqual(['a', 'b', undefined]);
  });

  test('after the end: what was not read is replayed once', async () => {
    const { generation, push, end } = createStream(uncancelled);
    push(chunk('a', 1));
    end(result);
    push(chunk('late', 2));
    expect(await readAll(generation)).toEqual([chunk('a', 1)]);
    expect(await readAll(generation)).toEqual([]);
    expect(await generation.result()).toBe(result);
  });

  test('leaving the loop cancels once, and only while it runs', async () => {
    const reasons: unknown[] = [];
    const { generation, push, fail } = createStream((reason) => {
      reasons.push(reason);
      fail(reason);
    });
    push(chunk('a', 1));
    for await (const each of generation) {
      expect(each.text).toBe('a');
      break;
    }
    expect(reasons).toEqual([expect.objectContaining({ name: 'AbortError' })]);
    await expect(generation.result()).rejects.toBe(reasons[0]);
    await expect(readAll(generation)).rejects.toBe(reasons[0]);

    const ended = createStream(uncancelled);
    ended.push(chunk('a', 1));
    ended.end(result);
    for await (const each of ended.generation) if (each.text === 'a') break;
  });

  test('return answers a read that waits', async () => {
    let cancels = 0;
    const { generation } = createStream(() => {
      cancels += 1;
    });
    const reader = generation[Symbol.asyncIterator]();
    const waiting = reader.next();
    await reader.return!();
    await reader.return!();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await reader.next()).toEqual({ done: true, value: undefined });
    expect(cancels).toBe(1);
  });

  test('one reader at a time', async () => {
    const { generation, push, end } = createStream(() => {});
    const reader = generation[Symbol.asyncIterator]();
    expect(() => generation[Symbol.asyncIterator]()).toThrow(TypeError);
    await reader.return!();
    push(chunk('a', 1));
    end(result);
    expect(await readAll(generation)).toEqual([chunk('a', 1)]);
  });

  test('a failure reaches the reader that waits, the one that comes later, and result()', async () => {
    const error = new Error('lost');
    const waiting = createStream(uncancelled);
    const read = readAll(waiting.generation);
    waiting.fail(error);
    await expect(read).rejects.toBe(error);
    await expect(readAll(waiting.generation)).rejects.toBe(error);

    const late = createStream(uncancelled);
    late.push(chunk('a', 1));
    late.fail(error);
    late.end(result);
    const reader = late.generation[Symbol.asyncIterator]();
    expect(await reader.next()).toEqual({ done: false, value: chunk('a', 1) });
    await expect(reader.next()).rejects.toBe(error);
    await expect(late.generation.result()).rejects.toBe(error);
  });

  test('a failure that nobody asked for is no unhandled rejection', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): number => unhandled.push(reason);
    process.on('unhandledRejection', note);
    createStream(uncancelled).fail(new Error('nobody listens'));
    await new Promise((resolve) => setTimeout(resolve, 5));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
});
