import { createEngine } from 'weblora';
import { follow } from '../timeline.ts';
import { GGUF_ADDRESS, type GgufSubject, type TextPrompt } from './gguf-subject.ts';

/** This library beside the others, and what the file's tokenizer makes of texts. */
export interface OursGguf extends GgufSubject {
  prompts(texts: readonly string[]): Promise<readonly TextPrompt[]>;
}

const TOP = 8;

/** An engine in this page. Nothing is taken from earlier prompts. */
export async function openOursGguf(): Promise<OursGguf> {
  const engine = await createEngine({ model: GGUF_ADDRESS, precision: 'exact', prefixCache: false, memory: { pool: 64 << 20 } });
  return {
    about: 'WebGPU, exact',
    prompts: (texts) => Promise.all(texts.map(async (text) => ({ text, tokens: await engine.tokenize(text) }))),
    examine: async ({ tokens: prompt }, maxTokens) => {
      const { tokens, logprobs = [] } = await engine
        .generate(prompt, { maxTokens, ignoreEos: true, logprobs: TOP, temperature: 0 })
        .result();
      return tokens.map((token, i) => ({
        token,
        top: Array.from(logprobs[i]!.topTokens, (each, k) => ({ token: each, logprob: logprobs[i]!.topLogprobs[k]! })),
      }));
    },
    answer: async ({ tokens: prompt }, maxTokens) => {
      const began = performance.now();
      const { times, tokens, done } = follow(engine, prompt, { maxTokens, temperature: 0 });
      await done;
      return { said: tokens.join(' '), first: times[0]! - began, rest: times.at(-1)! - times[0]! };
    },
  };
}
