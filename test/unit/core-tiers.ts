import type { Placement } from '../../src/adapters/cache.ts';
import type { AdapterFacts, Move } from '../../src/adapters/lower-tiers.ts';
import type { Core } from '../../src/engine/core.ts';
import type { Reading } from '../../src/engine/traffic.ts';
import type { Device, ModelAdapter } from './core-device.ts';
import { check, hashOf, type Random } from './core-random.ts';
import type { Tally } from './core-settings.ts';

/** Adapters, where they come from, and what of them is on its way. */
export interface Tiers {
  readonly adapters: readonly ModelAdapter[];
  /** What each adapter's bytes said when they were last read. */
  readonly standsFor: Map<string, string>;
  /** Turns until they are there. */
  readonly reads: Map<string, { turns: number; readonly from: Reading['from'] }>;
  readonly uploads: Map<string, { turns: number; readonly placement: Placement }>;
  /** Who asked for what moves now: a caller may take away what the core never would. */
  asker: 'core' | 'caller';
  facts(digest: string): AdapterFacts;
}

export function createTiers(adapters: readonly ModelAdapter[], largest: number): Tiers {
  const facts = (digest: string): AdapterFacts => {
    const hash = hashOf(digest) >>> 0;
    return { digest, pages: 1 + (hash % largest), bytes: 1 + (hash % 5), stored: 1 + (hash % 3) };
  };
  return { adapters, standsFor: new Map(), reads: new Map(), uploads: new Map(), asker: 'core', facts };
}

/** What is checked of each thing that the core says has moved. */
export function checkMove({ tier, kind, content }: Move, { cache, inUse, lower }: Core, { uploads, asker }: Tiers, tally: Tally): void {
  tally[kind === 'refuse' ? 'refused' : (`${tier}${kind === 'load' ? 'Loads' : 'Evictions'}` as const)] += 1;
  if (kind !== 'evict' || asker === 'caller') return;
  if (tier === 'gpu')
    check(!inUse(content) && !cache.isPinned(content) && !uploads.has(content), 'evicted while in use, pinned or uploading');
  if (tier === 'heap') check(!uploads.has(content), 'left memory while it is being uploaded');
  check(tier !== 'disk' || lower.disk.budget > 0, 'left a disk that is not there');
}

interface Moving {
  readonly core: Core;
  readonly device: Device;
  readonly tiers: Tiers;
  readonly random: Random;
  readonly now: number;
  readonly tally: Tally;
}

/** Adapters move as the core says: reads and uploads begin, and uploads that take their time end. Returns the numbers of what it decided. */
export function moveAdapters(moving: Moving): { readonly numbers: readonly number[]; readonly count: number } {
  const { core, device, tiers, random, tally } = moving;
  const { reads, uploads } = tiers;
  for (const [content, upload] of uploads) {
    upload.turns -= 1;
    if (upload.turns > 0) continue;
    uploads.delete(content);
    check(core.lower.heap.has(content), 'left memory before it was written');
    device.writeAdapter(content, upload.placement);
    core.traffic.written(content);
  }
  const { write, read } = core.traffic.turn(moving.now);
  for (const { content, placement } of write) {
    check(placement.pages === tiers.facts(content).pages, 'placed in the wrong size');
    check(core.lower.heap.has(content) && core.cache.get(content) === placement, 'placed what is not in memory');
    check(!uploads.has(content), 'placed twice');
    uploads.set(content, { turns: random.chance(0.7) ? 0 : random.below(4), placement });
  }
  for (const [content, { turns, placement }] of uploads) {
    if (turns > 0) continue;
    uploads.delete(content);
    device.writeAdapter(content, placement);
    core.traffic.written(content);
  }
  for (const { content, from } of read) {
    check(!reads.has(content) && !core.cache.has(content) && !core.lower.heap.has(content), 'read while it is there or on its way');
    check(from === (core.lower.disk.has(content) ? 'disk' : 'origin'), 'read from the wrong place');
    reads.set(content, { turns: random.below(6), from });
  }
  tally.reads += read.length;
  tally.loads += write.length;
  return { numbers: write.flatMap(({ placement }) => [1, placement.slot, placement.firstPage]), count: read.length + write.length };
}

/** Drops what is no longer to be uploaded. */
export function dropUploads({ cache }: Core, { uploads }: Tiers): void {
  for (const [content, { placement }] of uploads) if (cache.get(content) !== placement) uploads.delete(content);
}
