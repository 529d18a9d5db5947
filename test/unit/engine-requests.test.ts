import { expect, test } from 'vitest';
import { memoryStore } from '../../src/adapters/store.ts';
import { answer, dropped, open } from './tiers-harness.ts';

test('a model without a tokenizer has no text that could end an answer', async () => {
  const { engine } = await open();
  const asked = engine.generate([1, 2, 3], { maxTokens: 2, stop: ['.'] });
  await expect(asked.result()).rejects.toMatchObject({
    code: 'tokenizer_missing',
    param: 'stop',
    message: expect.stringContaining('stopTokenIds'),
  });
  expect((await engine.generate([1, 2, 3], { maxTokens: 2, stop: [], stopTokenIds: [5] }).result()).tokens).toHaveLength(2);
  await engine.close();
});

test('a signal that comes while the store is opened ends the start: nobody would close the engine', async () => {
  const controller = new AbortController();
  const store = memoryStore();
  const entries: typeof store.entries = async (prefix) => {
    controller.abort('changed my mind');
    return store.entries(prefix);
  };
  await expect(open({ store: { ...store, entries }, signal: controller.signal })).rejects.toBe('changed my mind');
});

test('what a listener throws ends its own load, and nobody else’s', async () => {
  const { adapters, ask, engine, list } = await open();
  await adapters.add('a', dropped('one', 1));
  const told: number[] = [];
  const own = adapters.load('a', {
    onProgress: () => {
      throw new RangeError('a mistake on the page');
    },
  });
  const others = [adapters.load('a', { onProgress: ({ loaded }) => void told.push(loaded) }), ask('a')] as const;
  await expect(own).rejects.toThrow('a mistake on the page');
  expect(await others[1]).toBe(await answer(1));
  await others[0];
  expect(told.length).toBeGreaterThan(0);
  expect(await list()).toEqual([['a', 'one', 'gpu']]);
  await engine.close();
});
