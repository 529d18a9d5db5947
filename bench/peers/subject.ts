/** Who answers: this library; transformers.js on WebGPU; transformers.js on its WebAssembly backend. */
export const SUBJECTS = ['ours', 'webgpu', 'wasm'] as const;
export type SubjectName = (typeof SUBJECTS)[number];
export type Peer = Exclude<SubjectName, 'ours'>;

/** A request's answer and its times, by the page's clock. */
export interface Answer {
  readonly tokens: readonly number[];
  /** Milliseconds from the call to the first token, and from there to the last. */
  readonly first: number;
  readonly rest: number;
}

/** The answers of several requests. */
export interface Answers {
  readonly tokens: readonly (readonly number[])[];
  /** Milliseconds from the call to the last token of the last of them. */
  readonly ms: number;
}

/** How several requests are served: each after the one before, or all at once; by the base, or each with an adapter of its own. */
export type Manner = 'in turn' | 'together' | 'adapters in turn' | 'adapters together';

/** Work on the GPU between the first token of an answer and its last, for each of its tokens. */
export interface Counts {
  readonly dispatches: number;
  readonly submits: number;
}

/** One of those compared. Greedy, and no end token ends an answer. */
export interface Subject {
  /** In words: its version, and what it runs on. */
  readonly about: string;
  answer(prompt: readonly number[], tokens: number): Promise<Answer>;
  /** Prompts of one length. Throws `RangeError` for a manner that it has not. */
  answers(prompts: readonly (readonly number[])[], tokens: number, manner: Manner): Promise<Answers>;
}

/** What a page is told of the run. */
export interface Setting {
  /** Threads of the WebAssembly backend. */
  readonly threads: number;
}
