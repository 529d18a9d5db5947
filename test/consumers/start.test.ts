import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { root } from './install.ts';

const ADAPTERS = ['json', 'sql', 'spanish', 'pirate', 'redact', 'sentiment', 'emoji', 'title'];

/** The lines that `npm start` prints, behind the build. */
async function start(...words: readonly string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, ['tools/start.mjs', ...words], { cwd: root });
  return stdout.trimEnd().split('\n');
}

/** Model names of lines `NAME: answer`. */
const names = (lines: readonly string[]): string[] => lines.map((line) => line.slice(0, line.indexOf(':')));

test('npm start: nine answers from one batch', async () => {
  const lines = await start();
  expect(names(lines.slice(0, -1))).toEqual(['base', ...ADAPTERS]);
  expect(lines).toContain('json: {"intent": "order", "quantity": 9, "color": "white", "item": "lamp", "city": "North Williamberg"}');
  expect(lines).toContain('title: Order for North Williamberg');
  expect(lines.at(-1)).toMatch(/batch size 9, 8 distinct adapters/);
});

test('npm start: words are the message, and what an option takes is no part of it', async () => {
  const short = ['--max-tokens', '4'];
  const [typed, named] = [
    await start('--top-p', '.9', ...short, 'Where', 'is', 'my', 'order?'),
    await start(...short, '--message', 'Where is my order?'),
  ];
  expect(names(named.slice(0, -1))).toEqual(['base', ...ADAPTERS]);
  expect(typed.slice(0, -1)).toEqual(named.slice(0, -1)); // greedy: --top-p changes nothing
  expect(typed.at(-1)).toContain('batch size 9, 8 distinct adapters');
});
