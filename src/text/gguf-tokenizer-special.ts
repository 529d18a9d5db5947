import { flagOf, type GgufSource, textOf, textsOf, unsupported, wrong } from './gguf-tokenizer-values.ts';
import type { Json } from './json-value.ts';

/** Tokens with a meaning, as GGUF spells their names (`tokenizer.ggml.NAME_token_id`), its own misspelling included. */
export const specialNames = ['bos', 'eos', 'eot', 'eom', 'unknown', 'padding', 'seperator', 'mask'] as const;
export type SpecialName = (typeof specialNames)[number];
export type SpecialIds = ReadonlyMap<SpecialName, number>;

/** What llama.cpp takes where a SentencePiece file does not say. */
const sentencePieceIds: SpecialIds = new Map<SpecialName, number>([
  ['unknown', 0],
  ['bos', 1],
  ['eos', 2],
]);

/** What stands for "no token" where an id is expected: -1, as converters write it into 32 bits with or without a sign. */
const noToken: ReadonlySet<unknown> = new Set([-1, 0xffffffff]);
/** Names that no text is begun, cut or ended by: there an id behind the last is taken for none, as llama.cpp takes it. */
const idleNames: ReadonlySet<SpecialName> = new Set<SpecialName>(['unknown', 'padding', 'seperator', 'mask']);

/** Ids of the special tokens that the file names. Throws `gguf_metadata` for an id that is no token. */
export function specialIds(source: GgufSource, tokens: readonly string[], kind: 'gpt2' | 'llama'): SpecialIds {
  const ids = new Map<SpecialName, number>();
  for (const name of specialNames) {
    const key = `tokenizer.ggml.${name}_token_id`;
    const byDefault = kind === 'llama' ? sentencePieceIds.get(name) : undefined;
    const value = source.metadata.get(key);
    const isBehind = idleNames.has(name) && Number.isInteger(value) && Number(value) >= tokens.length;
    const given = isBehind || noToken.has(value) ? undefined : value;
    const id = given ?? (byDefault !== undefined && byDefault < tokens.length ? byDefault : undefined);
    if (id === undefined) continue;
    const valid = typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < tokens.length && tokens[id] !== '';
    if (!valid) throw wrong(source, key, id, `the id of one of the ${tokens.length} tokens`);
    ids.set(name, id);
  }
  return ids;
}

/** Chat templates by name; the one without a name is "default". Throws `gguf_metadata` for a name without a template. */
export function namedChatTemplates(source: GgufSource): ReadonlyMap<string, string> {
  const key = 'tokenizer.chat_template';
  const templates = new Map<string, string>();
  const unnamed = textOf(source, key);
  if (unnamed !== undefined) templates.set('default', unnamed);
  for (const name of textsOf(source, 'tokenizer.chat_templates') ?? []) {
    const template = textOf(source, `${key}.${name}`);
    if (template === undefined && name !== 'default') throw wrong(source, `${key}.${name}`, template, 'the template of that name');
    if (template !== undefined) templates.set(name, template);
  }
  for (const field of source.metadata.keys()) {
    if (field.startsWith(`${key}.`)) templates.set(field.slice(key.length + 1), textOf(source, field) ?? '');
  }
  return templates;
}

/**
 * `post_processor` of a tokenizer.json: BOS before a text and EOS behind it, as the file says; null for neither.
 *
 * @param addsBos whether BOS is added where the file does not say. Throws `gguf_metadata` for a token that is added and not named.
 */
export function postProcessor(source: GgufSource, tokens: readonly string[], special: SpecialIds, addsBos: boolean): Json | null {
  const needed = (name: 'bos' | 'eos', byDefault: boolean): Json[] => {
    const key = `tokenizer.ggml.add_${name}_token`;
    if (!flagOf(source, key, byDefault)) return [];
    const id = special.get(name);
    if (id === undefined) throw wrong(source, `tokenizer.ggml.${name}_token_id`, id, `the id of the token that ${key} adds`);
    return [{ SpecialToken: { id: tokens[id], type_id: 0 } }];
  };
  if (flagOf(source, 'tokenizer.ggml.add_sep_token', false)) throw unsupported(source, 'tokenizer.ggml.add_sep_token is true');
  const before = needed('bos', addsBos);
  const after = needed('eos', false);
  if (before.length + after.length === 0) return null;
  const named = (['bos', 'eos'] as const).flatMap((name) => {
    const id = special.get(name);
    return id === undefined ? [] : [[tokens[id]!, { id: tokens[id], ids: [id], tokens: [tokens[id]] }] as const];
  });
  const sequence = (id: 'A' | 'B', type: number): Json => ({ Sequence: { id, type_id: type } });
  return {
    type: 'TemplateProcessing',
    single: [...before, sequence('A', 0), ...after],
    pair: [...before, sequence('A', 0), ...after, ...before, sequence('B', 1), ...after],
    special_tokens: Object.fromEntries(named),
  };
}

/** Names of special tokens in tokenizer_config.json. */
const configNames: ReadonlyMap<SpecialName, string> = new Map<SpecialName, string>([
  ['bos', 'bos_token'],
  ['eos', 'eos_token'],
  ['unknown', 'unk_token'],
  ['padding', 'pad_token'],
  ['seperator', 'sep_token'],
  ['mask', 'mask_token'],
]);

/** The special tokens as tokenizer_config.json has them: field and text. */
export function specialTexts(tokens: readonly string[], special: SpecialIds): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [name, field] of configNames) {
    const id = special.get(name);
    if (id !== undefined) texts[field] = tokens[id]!;
  }
  return texts;
}

/** `chat_template` of tokenizer_config.json: a text, or a list where there are names. */
export function templateField(templates: ReadonlyMap<string, string>): unknown {
  if (templates.size === 1 && templates.has('default')) return templates.get('default');
  return [...templates].map(([name, template]) => ({ name, template }));
}
