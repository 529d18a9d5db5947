import type { Spread, Stats } from 'weblora';
import type { StormCount } from './storm.ts';
import { count, rateInWords } from './words.ts';

/** A storm that has ended. */
export interface StormEnd {
  /** The engine's figures before its first request and after its last one. */
  readonly before: Stats;
  readonly after: Stats;
  readonly counted: StormCount;
  readonly ms: number;
  /** `stopped`: a person ended it. */
  readonly end: 'done' | 'stopped';
}

const share = (part: number, rest: number): string => (part + rest === 0 ? '–' : `${Math.round((100 * part) / (part + rest))} %`);
const time = (ms: number): string => (ms < 9.95 ? ms.toFixed(1) : String(Math.round(ms)));

/** `2.1 / 14`: milliseconds that half of them, and 95 of 100, took at most. */
export function spreadInWords({ p50, p95, max }: Spread): string {
  return max === 0 ? '–' : `${time(p50)} / ${time(p95)}`;
}

/** What came of a storm, in sentences. */
export function summaryOf({ before, after, counted, ms, end }: StormEnd): string {
  const { answered, failed, distinct, trouble } = counted;
  const [was, is] = [before.tiers, after.tiers];
  const more = (tier: 'gpu' | 'heap' | 'disk' | 'origin', kind: 'hits' | 'misses' | 'loads' | 'evictions'): number =>
    is[tier][kind] - was[tier][kind];
  const evictions = more('gpu', 'evictions') + more('heap', 'evictions') + more('disk', 'evictions');
  const sentences = [
    `${end === 'stopped' ? 'Stopped: ' : ''}${count(answered, 'request')} to ${count(distinct, 'adapter')} in ${(ms / 1000).toFixed(1)} s, ` +
      `${rateInWords(((after.tokens - before.tokens) * 1000) / ms)} tokens/s.`,
    `${share(more('gpu', 'hits'), more('gpu', 'misses'))} found theirs on the GPU; ${count(more('gpu', 'loads'), 'load')} onto it, ` +
      `${more('heap', 'hits')} of them from memory, ${more('disk', 'hits')} reads from disk, ${more('origin', 'loads')} from the origin; ` +
      `${evictions} made room.`,
    `p50 / p95 in ms: from memory ${spreadInWords(is.heap.loadMs)}, from disk ${spreadInWords(is.disk.loadMs)}, ` +
      `from the origin ${spreadInWords(is.origin.loadMs)}.`,
  ];
  if (failed > 0) sentences.push(`${count(failed, 'request')} failed: ${trouble}`);
  return sentences.join(' ');
}
