import { beforeAll, describe, expect, test } from 'vitest';
import { createChatTemplate, endTokenOf, findChatTemplate } from '../../src/text/chat-template.ts';
import { createDetokenizer } from '../../src/text/detokenizer.ts';
import { createTokenizer, type Tokenizer } from '../../src/text/tokenizer.ts';
import { below, largeVocabulary, seeded } from './text-files.ts';
import { type Difference, differences } from './tokenizer-differences.ts';

const endTokens = { llama2: undefined, llama3: '<|eot_id|>', qwen3: '<|im_end|>', gemma3: '<end_of_turn>' };

// Parsing 33 MB of JSON and 500,000 merges takes seconds on a busy machine.
const timeout = 120_000;

for (const vocabulary of ['llama2', 'llama3', 'qwen3', 'gemma3'] as const) {
  const files = largeVocabulary(vocabulary);
  const why = files === undefined ? ' (skipped: needs the references and `node tools/fetch-tokenizers.mjs`)' : '';

  describe.skipIf(files === undefined)(`${vocabulary} equals Python${why}`, () => {
    let tokenizer: Tokenizer;
    const found: Omit<Difference, 'cause'>[] = [];

    beforeAll(() => {
      tokenizer = createTokenizer(files!.json, files!.config, vocabulary);
    }, timeout);

    const compare = (what: Difference['what'], text: string, ours: unknown, theirs: unknown): void => {
      if (JSON.stringify(ours) !== JSON.stringify(theirs)) found.push({ vocabulary, what, text });
    };

    const expectListed = (kinds: readonly Difference['what'][]): void => {
      const listed = differences.filter((d) => d.vocabulary === vocabulary && kinds.includes(d.what));
      expect(found.filter((d) => kinds.includes(d.what))).toEqual(listed.map(({ what, text }) => ({ vocabulary, what, text })));
    };

    test('ids and decoded text', { timeout }, () => {
      expect(files!.reference.texts.length).toBeGreaterThan(0);
      for (const { text, ids, ids_special: special, decoded } of files!.reference.texts) {
        compare('ids', text, tokenizer.encode(text, 'plain'), ids);
        compare('ids_special', text, tokenizer.encode(text, 'special'), special);
        compare('decoded', text, tokenizer.decode(ids), decoded);
      }
      expectListed(['ids', 'ids_special', 'decoded']);
    });

    test('rendered chats', { timeout }, () => {
      const template = findChatTemplate(undefined, files!.config);
      for (const { messages, rendered, ids, error } of files!.reference.chats) {
        if (template === undefined) {
          expect(error, 'Python has a template and we found none').toBeDefined();
          continue;
        }
        const text = createChatTemplate({ template, tokenizerConfig: files!.config }).render(messages);
        compare('rendered', JSON.stringify(messages), text, rendered);
        compare('rendered ids', JSON.stringify(messages), tokenizer.encode(text, 'plain'), ids);
      }
      expectListed(['rendered', 'rendered ids']);
    });

    test('the token that ends a turn', () => {
      const template = findChatTemplate(undefined, files!.config);
      const end =
        template === undefined ? undefined : endTokenOf(createChatTemplate({ template, tokenizerConfig: files!.config }), tokenizer);
      expect(end === undefined ? undefined : tokenizer.token(end)).toBe(endTokens[vocabulary]);
    });

    test('streamed text equals decoded text', { timeout }, () => {
      const random = seeded(11);
      for (const { ids, decoded } of files!.reference.texts) expect(stream(tokenizer, ids, random)).toBe(decoded);
      for (let round = 0; round < 200; round++) {
        const ids = Array.from({ length: 1 + below(random, 60) }, () => below(random, 30_000));
        expect(stream(tokenizer, ids, random)).toBe(tokenizer.decode(ids));
      }
    });
  });
}

function stream(tokenizer: Tokenizer, ids: readonly number[], random: () => number): string {
  const detokenizer = createDetokenizer(tokenizer);
  let text = '';
  for (let at = 0; at < ids.length;) {
    const count = 1 + below(random, 3);
    text += detokenizer.push(ids.slice(at, at + count));
    at += count;
  }
  return text + detokenizer.flush();
}
