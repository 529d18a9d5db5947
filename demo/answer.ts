import type { Message } from 'weblora';
import type { PageEngine } from './engine.ts';
import { measured } from './frame.ts';
import { codeOf, errorInWords } from './words.ts';

/** One voice's answer to one message, while it grows and after. */
export interface Answer {
  readonly text: string;
  readonly tokens: number;
  readonly state: 'waiting' | 'streaming' | 'done' | 'stopped' | 'failed';
  /** `length`: the context was full before it came to an end. */
  readonly finish: 'stop' | 'length' | undefined;
  /** Tokens per second from the first to the latest one. */
  readonly rate: number | undefined;
  readonly trouble: string | undefined;
  /** What failed it, as a word. */
  readonly code: string | undefined;
}

interface Growing {
  text: string;
  tokens: number;
  state: Answer['state'];
  finish: Answer['finish'];
  rate: number | undefined;
  trouble: string | undefined;
  code: string | undefined;
}

export interface Question {
  readonly messages: readonly Message[];
  /** '' asks the base. */
  readonly voice: string;
  readonly signal: AbortSignal;
  /** After every change of the answer. */
  readonly onChange: () => void;
}

/** Asks, and returns the answer that grows. `ended` resolves when it has ended, however it did. */
export function ask(engine: PageEngine, question: Question): { readonly answer: Answer; readonly ended: Promise<void> } {
  const answer: Growing = {
    text: '',
    tokens: 0,
    state: 'waiting',
    finish: undefined,
    rate: undefined,
    trouble: undefined,
    code: undefined,
  };
  return { answer, ended: grow(engine, question, answer) };
}

async function grow(engine: PageEngine, { messages, voice, signal, onChange }: Question, answer: Growing): Promise<void> {
  const asked = performance.now();
  let first: { readonly at: number; readonly tokens: number } | undefined;
  try {
    for await (const chunk of engine.generate(messages, { signal, ...(voice !== '' && { adapter: voice }) })) {
      measured('chunk', () => {
        const now = performance.now();
        answer.text += chunk.text;
        answer.tokens += chunk.tokens.length;
        answer.finish = chunk.finish;
        answer.state = 'streaming';
        first ??= { at: now, tokens: answer.tokens };
        answer.rate = rate(answer.tokens, now, asked, first);
        onChange();
      });
    }
    answer.state = 'done';
  } catch (error) {
    answer.state = signal.aborted ? 'stopped' : 'failed';
    if (!signal.aborted) {
      answer.trouble = errorInWords(error);
      answer.code = codeOf(error);
    }
  }
  measured('answer', onChange);
}

/** Between tokens where there are two; a single one is measured with the wait for it. */
function rate(tokens: number, now: number, asked: number, first: { readonly at: number; readonly tokens: number }): number {
  const more = tokens - first.tokens;
  return more > 0 && now > first.at ? (more * 1000) / (now - first.at) : (tokens * 1000) / (now - asked);
}
