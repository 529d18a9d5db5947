import { tokenizerOfGguf } from '../../src/text/gguf-tokenizer.ts';

/** A vocabulary of 512 tokens as GGUF's metadata: byte-level BPE, or SentencePiece with byte fallback. */
export function vocabulary(model: 'gpt2' | 'llama', size = 512): ReadonlyMap<string, unknown> {
  return model === 'gpt2' ? byteLevel(size) : sentencePiece(size);
}

const TEMPLATE =
  "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}" +
  '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

/** Pieces of the letters of English in an order of their own: each is two of those before it. */
function merged(first: readonly string[], count: number): readonly (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = [];
  const pieces = [...first];
  for (let i = 0; pairs.length < count; i++) {
    const pair = [pieces[i % pieces.length]!, pieces[(i * 7 + 3) % first.length]!] as const;
    if (pieces.includes(pair.join(''))) continue;
    pairs.push(pair);
    pieces.push(pair.join(''));
  }
  return pairs;
}

function byteLevel(size: number): ReadonlyMap<string, unknown> {
  const printable = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte < 256 && byte !== 173);
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const others = bytes.filter((byte) => !printable(byte));
  const letters = bytes.map((byte) => String.fromCodePoint(printable(byte) ? byte : 256 + others.indexOf(byte)));
  const control = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
  const pairs = merged([...'etaoinshrdlucm', 'Ġ'], size - 256 - control.length);
  const tokens = [...control, ...letters, ...pairs.map((pair) => pair.join(''))];
  return new Map<string, unknown>([
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', 'smollm'],
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.token_type', Int32Array.from(tokens, (_, id) => (id < control.length ? 3 : 1))],
    ['tokenizer.ggml.merges', pairs.map((pair) => pair.join(' '))],
    ['tokenizer.ggml.bos_token_id', 1],
    ['tokenizer.ggml.eos_token_id', 2],
    ['tokenizer.ggml.add_bos_token', false],
    ['tokenizer.chat_template', TEMPLATE],
  ]);
}

function sentencePiece(size: number): ReadonlyMap<string, unknown> {
  const control = ['<unk>', '<s>', '</s>'];
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const letters = [...'▁etaoinshrdlucmfwypvbgkjqxzHW,.!?'];
  const pairs = merged([...'▁etaoinshr'], size - control.length - bytes.length - letters.length);
  const tokens = [...control, ...bytes, ...pairs.map((pair) => pair.join('')), ...letters];
  const typeOf = (id: number): number => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1);
  return new Map<string, unknown>([
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.pre', 'default'],
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.scores', Float32Array.from(tokens, (_, id) => (id < 259 ? 0 : 259 - id))],
    ['tokenizer.ggml.token_type', Int32Array.from(tokens, (_, id) => typeOf(id))],
    ['tokenizer.ggml.bos_token_id', 1],
    ['tokenizer.ggml.eos_token_id', 2],
    ['tokenizer.ggml.unknown_token_id', 0],
    ['tokenizer.ggml.add_space_prefix', true],
  ]);
}

/** The same as Hugging Face's files. */
export function vocabularyFiles(model: 'gpt2' | 'llama'): Readonly<Record<string, Uint8Array<ArrayBuffer>>> {
  const { tokenizerJson, tokenizerConfig, chatTemplate } = tokenizerOfGguf(vocabulary(model), 'made up');
  const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
  return {
    'tokenizer.json': bytes(JSON.stringify(tokenizerJson)),
    'tokenizer_config.json': bytes(JSON.stringify(tokenizerConfig)),
    ...(chatTemplate === undefined ? {} : { 'chat_template.jinja': bytes(chatTemplate) }),
  };
}
