import { expect, test } from 'vitest';
import { parseArguments } from '../../src/server/cli-arguments.ts';
import { WITH_VALUE } from '../../tools/start-options.mjs';

test('`npm start` knows every option of the command line that takes a word', () => {
  let help = '';
  parseArguments(['chat', '--help'], { version: '1.2.3', out: (text) => (help += text), err: (text) => (help += text) });
  const named = [...help.matchAll(/^ +(?:-\w, )?--([\w-]+) </gm)].map((match) => match[1]!);
  expect(named.length).toBeGreaterThan(15);
  // what `npm start` adds itself takes several, and comes last
  expect([...WITH_VALUE].sort()).toEqual(named.filter((name) => name !== 'lora-modules').sort());
});
