import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { main } from '../../bench/peers/main.ts';
import { compareAnswers, type GgufComparison } from '../../bench/peers/gguf-rounds.ts';
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

test('without the GGUF the comparison fails and says how to get it; a peer nobody knows is named', async () => {
  const file = join(tmpdir(), 'weblora-none.gguf');
  await expect(main(['--only', 'wllama', '--gguf', file])).rejects.toThrow(`No ${file}`);
  await expect(main(['--only', 'wllama', '--gguf', file])).rejects.toThrow('fetch-smollm2');
  await expect(main(['--only', 'nobody'])).rejects.toThrow('nobody');
});

test('answers may part at a thin margin, and only there', () => {
  const position = (token: number, ...logprobs: readonly number[]) => ({
    token,
    top: logprobs.map((logprob, i) => ({ token: i, logprob })),
  });
  const ours = [position(0, -0.1, -3), position(0, -0.7, -0.8, -4), position(0, -0.1, -3)];
  const compare = (...theirs: readonly ReturnType<typeof position>[]): GgufComparison => {
    const found = { tokens: 0, parted: 0, largest: 0 };
    compareAnswers('prompt 0', 'a peer', ours, theirs, found);
    return found;
  };
  expect(compare(position(0, -0.125, -3), position(0, -0.7, -0.8), position(0, -0.1, -3))).toMatchObject({ tokens: 3, parted: 0 });
  const parted = compare(position(0, -0.1, -3), position(1, -0.8, -0.7), position(7, -0.1, -3));
  expect(parted).toMatchObject({ tokens: 1, parted: 1 });
  expect(parted.largest).toBeCloseTo(0.1, 10);
  const thick = [position(0, -0.1, -3), position(2, -0.7, -0.8, -4), position(0, -0.1, -3)] as const;
  expect(() => compare(...thick)).toThrow('prompt 0, token 1: a peer answers 2, we 0, which we prefer by 3.300 nats');
  expect(() => compare(position(5, -0.1, -3), thick[1], thick[2])).toThrow('Infinity');
  expect(() => compare(position(0, -0.1, -3))).toThrow('answers 1 tokens, we 3');
});
