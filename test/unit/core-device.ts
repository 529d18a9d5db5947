import type { AdapterCache, Placement } from '../../src/adapters/cache.ts';
import type { Sequence } from '../../src/engine/sequence.ts';
import { tokensOf } from '../../src/engine/sequence.ts';
import type { Work } from '../../src/engine/step-budget.ts';
import { PAGE_TOKENS } from '../../src/kernels/step-layout.ts';
import { check, hashOf, mix } from './core-random.ts';

/** An adapter, and what its origin has now. */
export interface ModelAdapter {
  readonly key: string;
  digest: string;
}

/** A request as the device knows it. */
export interface ModelRequest {
  readonly sequence: Sequence;
  readonly seed: number;
  /** Ends the answer. */
  readonly endToken: number | undefined;
  /** Prompt and every token sampled in the order of the steps, those included that JS has not seen yet. */
  text: number[];
  /** What is computed at each position: a hash of its root and of all tokens up to it. */
  hashes: number[];
  root: string;
  roots: number;
  /** Its end token was sampled: later rows are inert. */
  isDone: boolean;
  /** The position to be computed next, and in which admission. */
  next: number;
  admission: number;
}

export interface Output {
  readonly token: number | undefined;
  readonly state: 'good' | 'inert' | 'poisoned';
}

export const VOCABULARY = 7;
const POISON = 1;
const GARBAGE = 2;

export function createModelRequest(sequence: Sequence, seed: number, endToken: number | undefined): ModelRequest {
  const text = [...sequence.prompt];
  return { sequence, seed, endToken, text, hashes: [], root: '', roots: 0, isDone: false, next: 0, admission: 0 };
}

/**
 * A device that computes nothing but remembers, in the order of submission, from what each word of each page was made. A row that
 * attends to a position must find there what its own text and adapters give: a page freed too early, shared wrongly or stale shows.
 */
export interface Device {
  /** Writes what has this digest. */
  writeAdapter(digest: string, placement: Placement): void;
  run(work: Work, request: ModelRequest, poisoned: 'poisoned' | 'good'): Output;
  /** Everything on it is gone. */
  lose(): void;
}

/** What a request's pages depend on besides its text. */
function rootOf({ cacheSalt, parts }: Sequence, digestOf: (adapter: string) => string): string {
  const scales = new Map<string, number>();
  for (const { adapter, scale } of parts) scales.set(digestOf(adapter), (scales.get(digestOf(adapter)) ?? 0) + scale);
  return JSON.stringify([[...scales.entries()].sort(([a], [b]) => (a < b ? -1 : 1)), cacheSalt]);
}

function hashUpTo(request: ModelRequest, root: string, end: number): void {
  if (request.root !== root) {
    request.roots += 1;
    request.root = root;
    request.hashes = [];
  }
  const { hashes, text } = request;
  for (let p = hashes.length; p < end; p++) hashes.push(mix(p === 0 ? hashOf(root) : hashes[p - 1]!, text[p]!));
}

/** The token that follows: the same text under the same root and seed always goes on alike. */
export function tokenAfter(hash: number, seed: number): number {
  return (mix(hash, seed) >>> 0) % VOCABULARY;
}

function checkPlace({ sequence, start, count, admission }: Work, request: ModelRequest): void {
  check(sequence.phase === 'running' && sequence.row !== undefined, 'work for a sequence that does not run');
  check(admission === sequence.admissions, 'work of another admission');
  if (request.admission !== admission) {
    request.admission = admission;
    request.next = sequence.shared * PAGE_TOKENS;
    check(request.next < sequence.prompt.length + sequence.generated.length, 'everything is shared: nothing gives the next token');
    check(sequence.logits === 'sampled' || sequence.shared === 0, 'a request for prompt logits shares pages');
  }
  check(start === request.next, `position ${start} computed, ${request.next} was next`);
  request.next = start + count;
  check(sequence.computed === start + count, 'computed does not follow the work');
  check(start + count <= sequence.pages.length * PAGE_TOKENS, 'a position outside the pages');
}

/** `digestOf`: what an adapter computes, as its bytes said when they were read. */
export function createDevice(pages: number, window: number, cache: AdapterCache, digestOf: (adapter: string) => string): Device {
  const memory = new Int32Array(pages * PAGE_TOKENS).fill(GARBAGE);
  const requireAdapters = ({ parts }: Sequence): void => {
    for (const { adapter } of parts) {
      const placement = cache.get(digestOf(adapter));
      if (!placement) throw new Error(`work for ${adapter}, which is not resident`);
      for (let i = 0; i < placement.pages * PAGE_TOKENS; i += PAGE_TOKENS - 1) {
        check(memory[placement.firstPage * PAGE_TOKENS + i] === hashOf(digestOf(adapter)), `${adapter} was overwritten`);
      }
    }
  };
  const at = ({ pages }: Sequence, p: number): number => pages[Math.floor(p / PAGE_TOKENS)]! * PAGE_TOKENS + (p % PAGE_TOKENS);
  const write = (sequence: Sequence, start: number, end: number, word: (p: number) => number): void => {
    for (let p = start; p < end; p++) memory[at(sequence, p)] = word(p);
  };
  /** Reads what was computed before a position, as far as its window reaches back. */
  const attend = ({ sequence, hashes }: ModelRequest, end: number): Output['state'] => {
    let state: Output['state'] = 'good';
    for (let p = Math.max(0, end - window + 1); p < end; p++) {
      const found = memory[at(sequence, p)];
      if (found === POISON) state = 'poisoned';
      else if (found !== hashes[p]) throw new Error(`position ${p} of sequence ${sequence.id} is not its own`);
    }
    return state;
  };

  return {
    writeAdapter: (digest, { firstPage, pages: count }) => {
      memory.fill(hashOf(digest), firstPage * PAGE_TOKENS, (firstPage + count) * PAGE_TOKENS);
    },
    run: (work, request, how) => {
      const { sequence, start, count, kind, samples } = work;
      checkPlace(work, request);
      requireAdapters(sequence);
      const end = start + count;
      const { text } = request;
      check(end <= text.length, 'a token is used before it was sampled');
      check(samples === (end === text.length), 'a token sampled in the middle, or none at the end');
      if (kind === 'prefill') {
        check(
          tokensOf(sequence, start, end).every((token, i) => token === text[start + i]),
          'other tokens than the text',
        );
      }
      hashUpTo(request, rootOf(sequence, digestOf), end);
      if (request.isDone) {
        write(sequence, start, end, () => GARBAGE);
        if (samples) text.push(0);
        return { token: undefined, state: 'inert' };
      }
      const state = attend(request, start) === 'poisoned' ? 'poisoned' : how;
      write(sequence, start, end, (p) => (state === 'poisoned' ? POISON : request.hashes[p]!));
      if (!samples) return { token: undefined, state };
      const token = tokenAfter(request.hashes[end - 1]!, request.seed);
      text.push(token);
      if (token === request.endToken) request.isDone = true;
      return { token, state };
    },
    lose: () => void memory.fill(GARBAGE),
  };
}
