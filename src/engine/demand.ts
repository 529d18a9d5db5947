import type { Demand } from '../adapters/cache.ts';
import type { Contents } from './contents.ts';
import type { Sequence } from './sequence.ts';

/** Who needs which adapter: what the tiers ask before one of them evicts it. `inUse` and `place` go by content. */
export interface AdapterDemand extends Demand {
  /** A sequence begins or ends to wait or to run. */
  count(sequence: Sequence, what: 'waiting' | 'running', change: 1 | -1): void;
  /** The contents that will be needed next, in order; `near`: before those that were named as `far` last. */
  expect(contents: readonly string[], look: 'near' | 'far'): void;
  /** Contents of running sequences. */
  running(): number;
  /** Of these adapters' contents, how many no running sequence has. */
  fresh(adapters: readonly string[]): number;
  /** The contents of a flow that somebody waits in. */
  adaptersOf(flow: string): readonly string[];
  /** An adapter stands for another content than before. */
  identify(adapter: string, before: string, content: string): void;
}

interface Flow {
  readonly adapters: readonly string[];
  waiting: number;
  /** As of `version`. */
  contents: readonly string[];
  version: number;
}

/** How many sequences have an adapter, and a content. */
interface Tally {
  readonly adapters: Map<string, number>;
  readonly contents: Map<string, number>;
}

function addTo(counts: Map<string, number>, key: string, change: number): void {
  const now = (counts.get(key) ?? 0) + change;
  if (now === 0) counts.delete(key);
  else counts.set(key, now);
}

/** Makes a record of an empty engine. Pure. */
export function createDemand(contents: Contents): AdapterDemand {
  const tallies: Readonly<Record<'waiting' | 'running', Tally>> = {
    waiting: { adapters: new Map(), contents: new Map() },
    running: { adapters: new Map(), contents: new Map() },
  };
  const flows = new Map<string, Flow>();
  const near = new Map<string, number>();
  const far = new Map<string, number>();
  let version = 0;
  const countFlow = ({ flow, parts }: Sequence, change: 1 | -1): void => {
    const found = flows.get(flow) ?? { adapters: distinct(parts), waiting: 0, contents: [], version: -1 };
    found.waiting += change;
    if (found.waiting === 0) flows.delete(flow);
    else flows.set(flow, found);
  };
  return {
    count: (sequence, what, change) => {
      if (what === 'waiting') countFlow(sequence, change);
      const tally = tallies[what];
      for (const adapter of distinct(sequence.parts)) {
        addTo(tally.adapters, adapter, change);
        addTo(tally.contents, contents.of(adapter), change);
      }
    },
    expect: (next, look) => {
      const places = look === 'near' ? near : far;
      near.clear();
      places.clear();
      for (const [place, content] of next.entries()) if (!places.has(content)) places.set(content, place);
    },
    inUse: (content) => tallies.running.contents.has(content),
    place: (content) => (tallies.waiting.contents.has(content) ? (near.get(content) ?? far.get(content) ?? Infinity) : undefined),
    running: () => tallies.running.contents.size,
    adaptersOf: (name) => {
      const flow = flows.get(name);
      if (!flow) return [];
      const isCurrent = flow.adapters.length === 1 ? flow.contents[0] === contents.of(flow.adapters[0]!) : flow.version === version;
      if (!isCurrent) Object.assign(flow, { contents: [...new Set(flow.adapters.map(contents.of))], version });
      return flow.contents;
    },
    fresh: (adapters) => {
      const running = tallies.running.contents;
      if (adapters.length === 1) return running.has(contents.of(adapters[0]!)) ? 0 : 1;
      return new Set(adapters.map(contents.of).filter((content) => !running.has(content))).size;
    },
    identify: (adapter, before, content) => {
      version += 1;
      for (const { adapters, contents: counts } of Object.values(tallies)) {
        const count = adapters.get(adapter);
        if (count === undefined) continue;
        addTo(counts, before, -count);
        addTo(counts, content, count);
      }
    },
  };
}

function distinct(parts: Sequence['parts']): readonly string[] {
  return parts.length === 1 ? [parts[0]!.adapter] : [...new Set(parts.map((part) => part.adapter))];
}
