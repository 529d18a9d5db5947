import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { openFolder } from '../../src/formats/folder.ts';
import { openGguf } from '../../src/formats/gguf.ts';
import { parseModelConfig } from '../../src/model/config.ts';
import { ggufTensorNames } from '../../src/model/gguf-config-tensors.ts';
import { configOfGguf } from '../../src/model/gguf-config.ts';
import { createChatTemplate } from '../../src/text/chat-template.ts';
import { tokenizerOfGguf, type GgufTokenizer } from '../../src/text/gguf-tokenizer.ts';
import { createTokenizer, type Tokenizer } from '../../src/text/tokenizer.ts';
import { ggufTextMetadata } from '../../tools/gguf-text-metadata.mjs';
import { entriesOf, ggufBytes } from './gguf-files.ts';
import { largeVocabulary, readJson, repositoryFile } from './text-files.ts';

const timeout = 120_000;

/** What tools/gguf-text-smollm2.py writes: some tokens and merges of a file, and texts that need no others. */
interface Cut {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly size: number;
  readonly tokens: readonly (readonly [id: number, token: string, type: number])[];
  readonly merges: readonly string[];
  readonly cases: readonly { readonly message: string; readonly prompt: number[]; readonly tokens: number[]; readonly text: string }[];
}

function metadataOf(cut: Cut): Map<string, unknown> {
  const tokens = Array.from({ length: cut.size }, (_, id) => `[PAD${id}]`);
  const types = new Int32Array(cut.size).fill(5);
  for (const [id, token, type] of cut.tokens) {
    tokens[id] = token;
    types[id] = type;
  }
  const metadata = new Map(Object.entries(cut.metadata));
  metadata.set('tokenizer.ggml.tokens', tokens);
  metadata.set('tokenizer.ggml.token_type', types);
  return metadata.set('tokenizer.ggml.merges', cut.merges);
}

function expectAnswers(metadata: ReadonlyMap<string, unknown>, cases: Cut['cases']): void {
  const gguf = tokenizerOfGguf(metadata, 'SmolLM2');
  const tokenizer = createTokenizer(gguf.tokenizerJson, gguf.tokenizerConfig, 'SmolLM2');
  const template = createChatTemplate({ template: gguf.chatTemplate!, tokenizerConfig: gguf.tokenizerConfig });
  expect(cases.length).toBeGreaterThan(7);
  for (const { message, prompt, tokens, text } of cases) {
    const rendered = template.render([{ role: 'user', content: message }]);
    expect(tokenizer.encode(rendered, 'special'), message).toEqual(prompt);
    expect(tokenizer.decode(tokens), message).toBe(text);
  }
}

describe('SmolLM2-135M-Instruct from its GGUF', () => {
  test('what its messages need of the vocabulary', () => {
    const cut = readJson<Cut>(repositoryFile('test/fixtures/gguf-text/smollm2.json'));
    expectAnswers(metadataOf(cut), cut.cases);
  });

  const file = process.env['WEBLORA_SMOLLM2'] ?? repositoryFile('.cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf');
  const reference = `${process.env['WEBLORA_REFERENCES'] ?? repositoryFile('../shared/references')}/smollm2/reference.json`;
  const missing = [file, reference].find((path) => !existsSync(path));
  const why = missing === undefined ? '' : ` (skipped: there is no ${missing})`;
  test.skipIf(missing !== undefined)(`the whole file${why}`, { timeout }, async () => {
    const { metadata, tensors } = await openGguf(await openFolder(dirname(file)), basename(file));
    expectAnswers(metadata, readJson(reference));
    const config = parseModelConfig(configOfGguf(metadata, tensors.keys(), file), file);
    expect(config).toMatchObject({
      vocabSize: 49_152,
      layers: 30,
      kvHeads: 3,
      tiedEmbeddings: true,
      endTokens: [2, 0],
    });
    const names = new Set(ggufTensorNames('llama').map(({ gguf }) => gguf));
    expect([...tensors.keys()].filter((name) => !names.has(name.replace(/^blk\.\d+\./, 'blk.{layer}.')))).toEqual([]);
  });
});

/** The metadata as a GGUF file gives it back; larger vocabularies take seconds to write. */
async function asWritten(metadata: ReadonlyMap<string, unknown>): Promise<ReadonlyMap<string, unknown>> {
  const bytes = ggufBytes({ entries: entriesOf(metadata) });
  return (await openGguf(await openFolder({ 'vocabulary.gguf': bytes }), 'vocabulary.gguf')).metadata;
}

const models = {
  llama2: { model: 'llama' },
  llama3: { model: 'gpt2', pre: 'llama-bpe' },
  qwen3: { model: 'gpt2', pre: 'qwen2' },
  gemma3: { model: 'llama' },
} as const;

for (const [name, model] of Object.entries(models)) {
  const files = largeVocabulary(name);
  const why = files === undefined ? ' (skipped: needs the references and `node tools/fetch-tokenizers.mjs`)' : '';

  describe.skipIf(files === undefined)(`${name} from GGUF metadata equals Python${why}`, () => {
    let gguf: GgufTokenizer;
    let tokenizer: Tokenizer;

    beforeAll(async () => {
      const metadata = ggufTextMetadata(files!.json, files!.config, model);
      gguf = tokenizerOfGguf(name === 'llama2' ? await asWritten(metadata) : metadata, name);
      tokenizer = createTokenizer(gguf.tokenizerJson, gguf.tokenizerConfig, name);
    }, timeout);

    test('ids and decoded text', { timeout }, () => {
      expect(files!.reference.texts.length).toBeGreaterThan(90);
      for (const { text, ids, ids_special: special, decoded } of files!.reference.texts) {
        expect(tokenizer.encode(text, 'plain'), text).toEqual(ids);
        expect(tokenizer.encode(text, 'special'), text).toEqual(special);
        expect(tokenizer.decode(ids), text).toBe(decoded);
      }
    });

    test('rendered chats', { timeout }, () => {
      for (const { messages, rendered, ids } of files!.reference.chats) {
        expect(gguf.chatTemplate === undefined).toBe(rendered === undefined);
        if (gguf.chatTemplate === undefined) continue;
        const text = createChatTemplate({ template: gguf.chatTemplate, tokenizerConfig: gguf.tokenizerConfig }).render(messages);
        expect(text).toBe(rendered);
        expect(tokenizer.encode(text, 'plain')).toEqual(ids);
      }
    });
  });
}
