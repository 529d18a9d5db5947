/** An adapter by the key under which residency knows it, and a factor on its deltas. */
export interface SequencePart {
  readonly adapter: string;
  readonly scale: number;
}

/** What a sequence is made from. */
export interface SequenceRequest {
  readonly id: number;
  /** Token ids; at least one. */
  readonly prompt: readonly number[];
  /** At least 1. */
  readonly maxTokens: number;
  /** `asked`: the caller named maxTokens; `room`: it is what the context leaves, and may be shortened to what the pool can hold. */
  readonly length?: 'asked' | 'room';
  /** Empty: the base model. */
  readonly parts: readonly SequencePart[];
  /** `prompt`: logits are wanted at every prompt position; `sampled`: only where a token is sampled. */
  readonly logits: 'sampled' | 'prompt';
  /** When it came, in milliseconds. */
  readonly arrival: number;
  readonly tenant?: string;
  /** Lower goes first. */
  readonly priority?: number;
  /** When its first token must have come, in milliseconds. */
  readonly deadline?: number | undefined;
  readonly cacheSalt?: string;
  /** `adjusted`: the sampler needs a row of its table for it (penalties, biases), which not every slot may have. */
  readonly slots?: 'any' | 'adjusted';
}

/**
 * One request's tokens as plain data; only the scheduler and its parts change it. Position p of a sequence holds prompt token p, or generated token
 * p − prompt.length. A decode row reads the token sampled before it, committed or pending, from the state slot `row`.
 */
export interface Sequence extends Required<Omit<SequenceRequest, 'maxTokens'>> {
  /** At least 1; lowered where `length` is `room` and the pool can hold less. */
  maxTokens: number;
  /** Its adapters as one name: the queue it waits in. '' is the base. */
  readonly flow: string;
  /** Prompt tokens and twice the tokens to generate: what the queue takes it to cost. */
  readonly work: number;
  /** Its parts with adapters of one digest merged, in digest order; and with the salt as text, under which its pages are shared. Known from admission on. */
  blend: readonly SequencePart[];
  root: string;
  /** Positions whose K and V have been submitted or were shared: always the first ones. */
  computed: number;
  /** Positions that are computed as a prompt: the prompt, and after a preemption what was generated before it. */
  target: number;
  /** Positions whose step has come back. */
  settled: number;
  /** Full pages that came from the prefix cache, and those that are in it or were offered to it, as of this admission. */
  shared: number;
  offered: number;
  /** Prompt tokens that were shared when it was first admitted. */
  cached: number;
  /** Tokens that came back from the GPU, in order. */
  readonly generated: number[];
  /** Tokens whose sampling was submitted and that have not come back. */
  pending: number;
  /** Page i holds positions 16·i to 16·i + 15; `GONE` where no row that is still to come reads them. Empty while not admitted. */
  pages: number[];
  /** How many pages are gone: always the first ones. */
  gone: number;
  /** Row of the block table and state slot while admitted. */
  row: number | undefined;
  /** How often it was admitted: what a step of an earlier admission computed is not in its pages of now. */
  admissions: number;
  /** `draining`: preempted, and its last tokens have not come back. */
  phase: 'waiting' | 'running' | 'draining' | 'finished';
}

/** A sequence that waits. Throws `RangeError` where the prompt is empty or `maxTokens` is no integer of at least 1. */
export function createSequence(request: SequenceRequest): Sequence {
  const { id, prompt, maxTokens, parts } = request;
  if (prompt.length === 0) throw new RangeError(`Sequence ${id} has an empty prompt; it needs at least one token.`);
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1) {
    throw new RangeError(`maxTokens of sequence ${id} must be an integer of at least 1; got ${maxTokens}.`);
  }
  return {
    length: 'asked',
    tenant: '',
    priority: 0,
    deadline: undefined,
    cacheSalt: '',
    slots: 'any',
    ...request,
    flow: [...new Set(parts.map(({ adapter }) => adapter))].sort().join('+'),
    work: prompt.length + 2 * maxTokens,
    blend: [],
    root: '',
    computed: 0,
    target: prompt.length,
    settled: 0,
    shared: 0,
    offered: 0,
    cached: 0,
    generated: [],
    pending: 0,
    pages: [],
    gone: 0,
    row: undefined,
    admissions: 0,
    phase: 'waiting',
  };
}

/** Tokens whose values JS knows: the prompt's and those that came back. */
export function knownTokens({ prompt, generated }: Sequence): number {
  return prompt.length + generated.length;
}

/** Tokens `start` to `end` − 1 of those that are known. */
export function tokensOf({ prompt, generated }: Sequence, start: number, end: number): readonly number[] {
  if (end <= prompt.length) return prompt.slice(start, end);
  const rest = generated.slice(Math.max(0, start - prompt.length), end - prompt.length);
  return start >= prompt.length ? rest : [...prompt.slice(start), ...rest];
}

/** How many of its first known tokens, at most `most` of them, are the same as these. */
export function alike({ prompt, generated }: Sequence, tokens: readonly number[], most: number): number {
  const end = Math.min(most, prompt.length + generated.length);
  let count = 0;
  while (count < end && (count < prompt.length ? prompt[count] : generated[count - prompt.length]) === tokens[count]) count += 1;
  return count;
}

/** Positions that are still to be computed as a prompt. */
export function prefillLeft(sequence: Sequence): number {
  return Math.max(0, sequence.target - sequence.computed);
}

/** Whether one more decode row may be submitted while at most `depth` tokens are pending. */
export function canDecode(sequence: Sequence, depth: number): boolean {
  if (sequence.phase !== 'running' || prefillLeft(sequence) > 0) return false;
  return sequence.pending < depth && sequence.generated.length + sequence.pending < sequence.maxTokens;
}

/** Parts in digest order with those of one digest merged by adding their scales, and the name under which their pages are shared. */
export function blendOf(
  parts: readonly SequencePart[],
  salt: string,
  digest: (adapter: string) => string,
): { readonly blend: readonly SequencePart[]; readonly root: string } {
  const merged = new Map<string, { readonly adapter: string; scale: number }>();
  // in order of their scales: a sum may depend on its order by a bit, and the same blend may be written in any
  for (const { adapter, scale } of [...parts].sort((one, other) => one.scale - other.scale)) {
    const found = merged.get(digest(adapter));
    if (found) found.scale += scale;
    else merged.set(digest(adapter), { adapter, scale });
  }
  const sorted = [...merged].sort(([a], [b]) => (a < b ? -1 : 1));
  return { blend: sorted.map(([, part]) => part), root: JSON.stringify([salt, sorted.map(([name, { scale }]) => [name, scale])]) };
}
