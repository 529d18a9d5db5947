/** Who answers from one GGUF: this library; wllama (llama.cpp in WebAssembly) on the CPU alone; wllama with all layers on WebGPU. */
export const GGUF_SUBJECTS = ['ours', 'wllama on the CPU', 'wllama on WebGPU'] as const;
export type GgufName = (typeof GGUF_SUBJECTS)[number];
export type GgufPeer = Exclude<GgufName, 'ours'>;

/** Where the page finds the file. */
export const GGUF_ADDRESS = '/models/model.gguf';

/** A token of a greedy answer, and the likeliest tokens of its position, best first. */
export interface Position {
  readonly token: number;
  readonly top: readonly { readonly token: number; readonly logprob: number }[];
}

/** An answer and its times, by the page's clock: milliseconds from the call to the first token, and from there to the last. */
export interface TimedAnswer {
  /** Its tokens or its text: the same each time that the same subject is asked the same. */
  readonly said: string;
  readonly first: number;
  readonly rest: number;
}

/** A prompt as text, which is all that wllama takes, and the tokens that this library makes of it. */
export interface TextPrompt {
  readonly text: string;
  readonly tokens: readonly number[];
}

/** One of those compared. Greedy. */
export interface GgufSubject {
  /** In words: its version, and what it runs on. */
  readonly about: string;
  /** Not timed: every position's likeliest tokens cost more than the one that is taken. */
  examine(prompt: TextPrompt, tokens: number): Promise<readonly Position[]>;
  /** Throws `Error` where the answer ends before that many tokens, or the prompt was cut into another number of them. */
  answer(prompt: TextPrompt, tokens: number): Promise<TimedAnswer>;
}
