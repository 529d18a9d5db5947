// What llama.cpp's converter writes about a tokenizer into a GGUF file, from tokenizer.json and tokenizer_config.json:
//   node tools/gguf-text-metadata.mjs FOLDER llama > metadata.json
//   node tools/gguf-text-metadata.mjs FOLDER gpt2 qwen2 > metadata.json
// The converter takes the scores of a `llama` vocabulary from SentencePiece's own file. Here they come from the order of the merges: a piece's
// score is minus the number of pieces made before it, as in a vocabulary that SentencePiece trained.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const type = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

/** Tokens that the converter takes for special whatever their flag says. */
function looksSpecial(token) {
  if (['<pad>', '<mask>', '<2mass>', '[@BOS@]'].includes(token)) return true;
  return /^<\|.*\|>$/s.test(token) || /^<\uff5c.*\uff5c>$/s.test(token) || /^<unused.*>$/s.test(token);
}

function scoresOf(merges, tokens) {
  const order = new Map();
  for (const merge of merges) {
    const piece = Array.isArray(merge) ? merge.join('') : merge.replace(' ', '');
    if (!order.has(piece)) order.set(piece, order.size);
  }
  return Float32Array.from(tokens, (token, id) => -(order.get(token) ?? 1_000_000 + id));
}

function partsOf(part, name) {
  if (!part) return [];
  return part.type === 'Sequence' ? part[name].flatMap((each) => partsOf(each, name)) : [part];
}

export function ggufTextMetadata(tokenizerJson, tokenizerConfig, { model, pre }) {
  const { vocab, merges, unk_token: unknown } = tokenizerJson.model;
  const byId = new Map(Object.entries(vocab).map(([token, id]) => [id, token]));
  const added = new Map(tokenizerJson.added_tokens.map((token) => [token.id, token]));
  const size = 1 + [...byId.keys(), ...added.keys()].reduce((most, id) => Math.max(most, id), 0);
  const types = new Int32Array(size).fill(type.normal);
  const tokens = Array.from({ length: size }, (_, id) => {
    const extra = added.get(id);
    const token = extra?.content ?? byId.get(id);
    if (token === undefined) types[id] = type.unused;
    else if (model === 'llama' && token === unknown) types[id] = type.unknown;
    else if (extra) types[id] = extra.special || looksSpecial(token) ? type.control : type.userDefined;
    else if (model === 'llama' && /^<0x[0-9A-F]{2}>$/.test(token)) types[id] = type.byte;
    return types[id] === type.userDefined ? token.replaceAll('\u2581', ' ') : (token ?? `[PAD${id}]`);
  });
  const metadata = new Map([
    ['tokenizer.ggml.model', model],
    ['tokenizer.ggml.pre', pre ?? 'default'],
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.token_type', types],
  ]);
  if (model === 'llama') metadata.set('tokenizer.ggml.scores', scoresOf(merges, tokens));
  else
    metadata.set(
      'tokenizer.ggml.merges',
      merges.map((merge) => (Array.isArray(merge) ? merge.join(' ') : merge)),
    );
  const textOf = (token) => (typeof token === 'object' ? token?.content : token);
  for (const [name, field] of [
    ['bos', 'bos_token'],
    ['eos', 'eos_token'],
    ['unknown', 'unk_token'],
    ['padding', 'pad_token'],
  ]) {
    const id = tokens.indexOf(textOf(tokenizerConfig[field]));
    if (id >= 0) metadata.set(`tokenizer.ggml.${name}_token_id`, id);
  }
  const single = partsOf(tokenizerJson.post_processor, 'processors').flatMap((part) => part.single ?? []);
  const names = single.flatMap((part) => part.SpecialToken?.id ?? []);
  metadata.set('tokenizer.ggml.add_bos_token', names.includes(textOf(tokenizerConfig.bos_token)));
  metadata.set('tokenizer.ggml.add_eos_token', names.includes(textOf(tokenizerConfig.eos_token)));
  const prefixed = partsOf(tokenizerJson.normalizer, 'normalizers').some((part) => part.type === 'Prepend');
  if (model === 'llama') metadata.set('tokenizer.ggml.add_space_prefix', prefixed);
  if (typeof tokenizerConfig.chat_template === 'string') metadata.set('tokenizer.chat_template', tokenizerConfig.chat_template);
  return metadata;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [folder, model, pre] = process.argv.slice(2);
  const read = (file) => JSON.parse(readFileSync(join(folder, file), 'utf8'));
  const metadata = ggufTextMetadata(read('tokenizer.json'), read('tokenizer_config.json'), { model, pre });
  const plain = (value) => (ArrayBuffer.isView(value) ? [...value] : value);
  process.stdout.write(JSON.stringify(Object.fromEntries([...metadata].map(([key, value]) => [key, plain(value)]))));
}
