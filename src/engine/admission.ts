import { PAGE_TOKENS } from '../kernels/step-layout.ts';
import type { AdapterDemand } from './demand.ts';
import type { Pages } from './pages.ts';
import type { PrefixCache } from './prefix-cache.ts';
import type { Verdict, WaitQueue } from './queue.ts';
import type { Room } from './room.ts';
import type { Seats } from './seats.ts';
import { GONE, spanPages } from './window.ts';
import { alike, blendOf, knownTokens, tokensOf, type Sequence } from './sequence.ts';

/** `resident`: on the GPU, ready for the next step; `unplaced`: read, and the pool has no room; `absent`: elsewhere, or on its way. */
export type Residency = 'resident' | 'unplaced' | 'absent';

/** What is asked about adapters before a sequence may run. */
export interface AdapterView {
  residency(adapter: string): Residency;
  /** Whether any is on its way onto the GPU: nobody can take its pages yet. */
  isUploading(): boolean;
  /** Whether a flow's adapters found no room in a pool with nothing else in it but those that are pinned. */
  neverFits(flow: string): boolean;
  /** Of one that is resident. */
  digest(adapter: string): string;
  /** Pages of the pool that these, as far as they were read, and all pinned adapters take. */
  lastingPages(adapters: readonly string[]): number;
  /** It is used by a step. */
  touch(adapter: string): void;
}

export interface AdmissionParts {
  readonly limits: { readonly sequences: number; readonly adapters: number; readonly prefillChunk: number; readonly window: number };
  readonly pages: Pages;
  /** Undefined: beginnings are not shared. */
  readonly prefix: PrefixCache | undefined;
  readonly queue: WaitQueue<Sequence>;
  readonly room: Room;
  readonly demand: AdapterDemand;
  readonly adapters: AdapterView;
}

export interface Admission {
  /** Admits whom it can, in the queue's order; returns those whom the pool can never hold. */
  admit(now: number): Sequence[];
  /** Tokens of a waiting sequence that need not be computed, as far as its adapters are there. */
  cachedTokens(sequence: Sequence): number;
  /** Prompt tokens looked up among computed beginnings, and found, at first admissions. */
  readonly prefix: { readonly lookedUp: number; readonly found: number };
}

/** Milliseconds after which who was passed over is next, and nobody takes what it waits for. */
export const PATIENCE_MS = 3000;

/** What a sequence may share of what others computed. */
interface LookUp extends Pick<Sequence, 'blend' | 'root'> {
  readonly tokens: readonly number[];
  /** Full pages that it may share, and how many of them are kept. */
  readonly limit: number;
  readonly found: number;
}

/** Seats waiting sequences and takes pages for all that is known of them. */
export function createAdmission(parts: AdmissionParts, { running, take, leave }: Seats): Admission {
  const { limits, pages, prefix, queue, room, demand, adapters } = parts;
  const counters = { lookedUp: 0, found: 0 };

  const namesOf = ({ parts }: Sequence): readonly string[] => parts.map(({ adapter }) => adapter);
  /** Of the adapter that keeps it from running, or resident: one without a place goes before one that is elsewhere. */
  const residencyOf = ({ parts }: Sequence): Residency => {
    let all: Residency = 'resident';
    for (const { adapter } of parts) {
      const residency = adapters.residency(adapter);
      if (residency === 'unplaced') return residency;
      if (residency === 'absent') all = residency;
    }
    return all;
  };

  /** Pages that a sequence can have at most, beside its adapters and the pinned ones. */
  const mostPages = (sequence: Sequence): number => pages.counts().total - adapters.lastingPages(namesOf(sequence));
  /** Shortens an open answer to what the pool can hold beside its adapters; false where the sequence can never run. */
  const canEverRun = (sequence: Sequence): boolean => {
    const room = mostPages(sequence);
    const most = spanPages(1, limits.window) <= room ? Infinity : room * PAGE_TOKENS - sequence.prompt.length + 1;
    if (sequence.length === 'room') sequence.maxTokens = Math.max(sequence.generated.length + 1, Math.min(sequence.maxTokens, most));
    return sequence.maxTokens <= most;
  };

  /** Whom a waiting sequence follows, and for how many pages: asked at every step, found once. */
  const following = new WeakMap<Sequence, { readonly leader: Sequence; readonly admission: number; readonly pages: number }>();
  const follows = (sequence: Sequence): boolean => {
    const found = following.get(sequence);
    if (!found || !running.has(found.leader)) return false;
    return found.leader.admissions === found.admission && found.leader.offered < found.pages;
  };
  /** Whether someone who runs is about to compute the page that this one lacks: it will then be shared. */
  const findLeader = (sequence: Sequence, tokens: readonly number[], page: number, limit: number): boolean => {
    for (const leader of running) {
      if (leader.root !== sequence.root || leader.offered > page) continue;
      const pages = Math.floor(alike(leader, tokens, Math.min(leader.target, limit * PAGE_TOKENS)) / PAGE_TOKENS);
      if (pages <= page) continue;
      following.set(sequence, { leader, admission: leader.admissions, pages });
      return true;
    }
    return false;
  };

  /** Takes pages for tokens, shared ones first: for all, or as many as a window and a chunk need. False where they cannot be had. */
  const takePages = (sequence: Sequence, tokens: readonly number[], limit: number): boolean => {
    const shared = prefix?.take(sequence.root, tokens, limit) ?? [];
    const gone = shared.filter((page) => page === GONE).length;
    const most = Math.min(spanPages(limits.prefillChunk, limits.window), mostPages(sequence));
    const needed = Math.min(Math.ceil(tokens.length / PAGE_TOKENS) - shared.length, most - (shared.length - gone));
    const others = running.size - 1;
    // one page more for everyone who runs: who is admitted into the last pages would be preempted at once
    const isEnough = room.pages(needed, undefined, others) || (others === 0 && room.pages(needed, -1));
    if (!isEnough) {
      pages.give(shared.slice(gone));
      return false;
    }
    sequence.pages = [...shared, ...pages.take(needed)!];
    sequence.gone = gone;
    sequence.shared = sequence.offered = shared.length;
    sequence.computed = sequence.settled = shared.length * PAGE_TOKENS;
    return true;
  };

  const lookUp = (sequence: Sequence): LookUp => {
    const { blend, root } = blendOf(sequence.parts, sequence.cacheSalt, adapters.digest);
    const tokens = tokensOf(sequence, 0, knownTokens(sequence));
    const limit = prefix && sequence.logits === 'sampled' ? Math.floor((tokens.length - 1) / PAGE_TOKENS) : 0;
    return { blend, root, tokens, limit, found: limit > 0 ? prefix!.find(root, tokens, limit) : 0 };
  };
  const place = (sequence: Sequence): Verdict => {
    const { blend, root, tokens, limit, found } = lookUp(sequence);
    sequence.blend = blend;
    sequence.root = root;
    if (found < limit && findLeader(sequence, tokens, found, limit)) return 'later';
    if (!take(sequence)) return 'later';
    if (!takePages(sequence, tokens, limit)) {
      leave(sequence);
      return 'stop';
    }
    sequence.phase = 'running';
    sequence.admissions += 1;
    return 'admit';
  };

  /** It has left the queue. */
  const welcome = (sequence: Sequence): void => {
    demand.count(sequence, 'waiting', -1);
    if (sequence.admissions > 1) return;
    sequence.cached = sequence.computed;
    queue.charge(sequence.tenant, sequence.flow, sequence.prompt.length - sequence.cached);
    if (prefix && sequence.logits === 'sampled') counters.lookedUp += sequence.prompt.length;
    counters.found += sequence.cached;
  };

  const isCrowded = (sequence: Sequence): boolean => {
    const used = demand.running();
    const { length } = sequence.parts;
    if (length === 0 || used === 0 || used + length <= limits.adapters) return false;
    return used + demand.fresh(namesOf(sequence)) > limits.adapters;
  };
  /** Flows whose adapters are on their way: asked once, however many are admitted. */
  const absent = new Set<string>();
  const admit = (now: number): Sequence[] => {
    absent.clear();
    const unfit = new Set<Sequence>();
    /** Asked of everyone who waits, at every step: what most of them are refused for comes first. */
    const verdict = (sequence: Sequence): Verdict => {
      if (absent.has(sequence.flow)) return 'skip';
      const residency = residencyOf(sequence);
      const neverFits = adapters.neverFits(sequence.flow);
      if (residency === 'absent' && !neverFits) {
        absent.add(sequence.flow);
        return 'skip';
      }
      if (follows(sequence)) return 'later';
      const passed: Verdict = now - sequence.arrival >= PATIENCE_MS ? 'stop' : 'skip';
      if (residency === 'resident' && isCrowded(sequence)) return passed;
      if (neverFits || !canEverRun(sequence)) {
        unfit.add(sequence);
        return 'later';
      }
      return residency === 'resident' ? place(sequence) : passed;
    };
    while (running.size < limits.sequences && queue.size > 0) {
      const admitted = queue.pick(now, verdict);
      if (!admitted) break;
      welcome(admitted);
    }
    return [...unfit];
  };
  const cachedTokens = (sequence: Sequence): number => (residencyOf(sequence) === 'resident' ? PAGE_TOKENS * lookUp(sequence).found : 0);
  return { admit, cachedTokens, prefix: counters };
}
