import { expect, test } from 'vitest';
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
