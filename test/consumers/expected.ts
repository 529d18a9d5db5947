import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './install.ts';

interface Answer {
  readonly model: string;
  readonly message: string;
  readonly tokens: readonly number[];
}

/** What apps/serve.js asks, and the first three tokens that each of its adapters answers. */
export function expected(): { readonly message: string; readonly tokens: Readonly<Record<string, readonly number[]>> } {
  const answers = JSON.parse(readFileSync(join(root, 'test/fixtures/frontdesk/reference.json'), 'utf8')) as readonly Answer[];
  const { message } = answers[0]!;
  const of = (adapter: string): readonly number[] =>
    answers.find((answer) => answer.model === adapter && answer.message === message)!.tokens.slice(0, 3);
  return { message, tokens: Object.fromEntries(['json', 'spanish', 'pirate'].map((adapter) => [adapter, of(adapter)])) };
}
