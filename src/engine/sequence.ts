import { PAGE_TOKENS } from '../kernels/step-layout.ts';

/** What a sequence is made from. */
export interface SequenceRequest {
  readonly id: number;
  /** Token ids; at least one. */
  readonly prompt: readonly number[];
  /** At least 1. */
  readonly maxTokens: number;
  /** `asked`: the caller named maxTokens; `room`: it is what the context leaves, and may be shortened to what the pool holds. */
  readonly length?: 'asked' | 'room';
  /** The key by which residency knows its adapter; undefined: the base model. */
  readonly adapter: string | undefined;
  /** `prompt`: logits are wanted at every prompt position; `sampled`: only where a token is sampled. */
  readonly logits: 'sampled' | 'prompt';
}

/**
 * One request's tokens as plain data; only the scheduler changes it, and `shorten` before it is admitted. Position p of a sequence holds prompt token p, or generated
 * token p − prompt.length. A decode row reads the token sampled before it, committed or pending, from the state slot `row`.
 */
export interface Sequence extends Omit<SequenceRequest, 'maxTokens'> {
  /** At least 1; `shorten` may lower it. */
  maxTokens: number;
  /** Positions whose K and V have been submitted: always the first ones. */
  computed: number;
  /** Tokens that came back from the GPU, in order. */
  readonly generated: number[];
  /** Tokens whose sampling was submitted and that have not come back. */
  pending: number;
  /** Page i holds positions 16·i to 16·i + 15. Empty while not admitted. */
  pages: readonly number[];
  /** Row of the block table and state slot while admitted. */
  row: number | undefined;
  phase: 'waiting' | 'running' | 'finished';
}

/** A sequence that waits. Throws `RangeError` where the prompt is empty or `maxTokens` is no integer of at least 1. */
export function createSequence(request: SequenceRequest): Sequence {
  const { id, prompt, maxTokens, adapter, logits, length = 'asked' } = request;
  if (prompt.length === 0) throw new RangeError(`Sequence ${id} has an empty prompt; it needs at least one token.`);
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1) {
    throw new RangeError(`maxTokens of sequence ${id} must be an integer of at least 1; got ${maxTokens}.`);
  }
  return {
    id,
    prompt,
    maxTokens,
    length,
    adapter,
    logits,
    computed: 0,
    generated: [],
    pending: 0,
    pages: [],
    row: undefined,
    phase: 'waiting',
  };
}

/** Prompt tokens that are not computed yet. */
export function prefillLeft(sequence: Sequence): number {
  return Math.max(0, sequence.prompt.length - sequence.computed);
}

/** Tokens whose sampling was submitted, whether or not they have come back. */
export function sampledTokens(sequence: Sequence): number {
  return sequence.generated.length + sequence.pending;
}

/** Whether one more decode row may be submitted while at most `depth` tokens are pending. */
export function canDecode(sequence: Sequence, depth: number): boolean {
  if (sequence.phase !== 'running' || prefillLeft(sequence) > 0) return false;
  return sequence.pending < depth && sampledTokens(sequence) < sequence.maxTokens;
}

/** Shortens an answer that takes what is left by so many pages; false where it was asked for, or nothing would be left of it. */
export function shorten(sequence: Sequence, pages: number): boolean {
  const left = pagesNeeded(sequence.prompt.length, sequence.maxTokens) - pages;
  const tokens = left * PAGE_TOKENS - sequence.prompt.length + 1;
  if (sequence.length !== 'room' || tokens < 1) return false;
  sequence.maxTokens = tokens;
  return true;
}

/** Pages that hold a prompt of `prompt` tokens and an answer of `maxTokens`: the last token's K and V are never computed. */
export function pagesNeeded(prompt: number, maxTokens: number): number {
  return Math.ceil((prompt + maxTokens - 1) / PAGE_TOKENS);
}
