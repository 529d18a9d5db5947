import { expect, test } from 'vitest';
import { memoryStore } from '../../src/adapters/store.ts';
import { open } from './tiers-harness.ts';

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
