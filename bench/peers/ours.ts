import { createEngine, type Engine } from 'weblora';
import { follow, type Timeline } from '../timeline.ts';
import { CONVERSATIONS } from './prompts.ts';
import type { Answers, Manner, Subject } from './subject.ts';

const FOLDER = '/models/frontdesk';
const ADAPTERS = ['json', 'sql', 'spanish', 'pirate', 'redact', 'sentiment', 'emoji', 'title'] as const;

/** This library beside the others, and the model's tokenizer for all of them. */
export interface Ours extends Subject {
  /** The conversations of prompts.ts as the chat template has them. */
  conversations(): Promise<readonly (readonly number[])[]>;
}

/** An engine in this page with all adapters on the GPU. Nothing is taken from earlier prompts: the others cannot. */
export async function openOurs(): Promise<Ours> {
  const engine = await createEngine({ model: `${FOLDER}/base`, precision: 'exact', prefixCache: false, memory: { pool: 64 << 20 } });
  for (const id of ADAPTERS) await engine.adapters.add(id, `${FOLDER}/adapters/${id}`);
  return {
    about: 'WebGPU',
    conversations: () => Promise.all(CONVERSATIONS.map((content) => engine.tokenize([{ role: 'user', content }]))),
    answer: async (prompt, maxTokens) => {
      const began = performance.now();
      const { times, tokens, done } = follow(engine, prompt, { maxTokens });
      await done;
      return { tokens, first: times[0]! - began, rest: times.at(-1)! - times[0]! };
    },
    answers: (prompts, maxTokens, manner) => answers(engine, prompts, maxTokens, manner),
  };
}

async function answers(engine: Engine, prompts: readonly (readonly number[])[], maxTokens: number, manner: Manner): Promise<Answers> {
  const own = manner.startsWith('adapters');
  if (own) for (const id of ADAPTERS) await engine.adapters.load(id);
  const began = performance.now();
  const running: Timeline[] = [];
  for (const [i, prompt] of prompts.entries()) {
    const one = follow(engine, prompt, { maxTokens, ...(own ? { adapter: ADAPTERS[i % ADAPTERS.length]! } : {}) });
    running.push(one);
    if (manner.endsWith('in turn')) await one.done;
  }
  await Promise.all(running.map(({ done }) => done));
  return { tokens: running.map(({ tokens }) => tokens), ms: performance.now() - began };
}
