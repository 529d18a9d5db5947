import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { main } from '../../bench/peers/main.ts';
import { promptOf } from '../../bench/peers/prompts.ts';

test('without the ONNX model the comparison fails and names what is missing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weblora-onnx-'));
  try {
    await expect(main(['--onnx', folder])).rejects.toThrow(`No ${join(folder, 'config.json')}`);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('prompts have the length that was asked for, end as the template ends, and differ', () => {
  const conversations = [
    [1, 2, 9],
    [3, 4, 5, 9],
    [6, 7, 9],
  ];
  expect(promptOf(conversations, 1, 2)).toEqual([5, 9]);
  expect(promptOf(conversations, 0, 8)).toEqual([4, 5, 9, 6, 7, 9, 1, 2, 9].slice(-8));
  const prompts = conversations.map((_, i) => promptOf(conversations, i, 32));
  expect(prompts.map((prompt) => [prompt.length, prompt.at(-1)])).toEqual(conversations.map(() => [32, 9]));
  expect(new Set(prompts.map(String)).size).toBe(conversations.length);
});
