import type { Stats, Tier } from 'weblora';
import { find, setText } from './dom.ts';
import { spreadInWords } from './thousand-summary.ts';
import type { TierCounts } from './thousand-where.ts';
import { tiers } from './tiers.ts';
import { bytesInWords } from './words.ts';

/** The tiers' figures, a row each. */
export interface TierTable {
  /** How many of the thousand lie where. */
  count(counts: TierCounts): void;
  /** What the engine says of its tiers, all adapters together. */
  show(stats: Stats): void;
}

/** In the order of the table's columns. */
type Column = 'adapters' | 'bytes' | 'hits' | 'loads' | 'evictions' | 'ms';

export function createTierTable(): TierTable {
  const rowOf = (tier: Tier): Readonly<Record<Column, HTMLElement>> => {
    const row = find(`tier-${tier}`, HTMLTableRowElement);
    const cell = (): HTMLElement => {
      const added = row.insertCell();
      added.textContent = '–';
      return added;
    };
    return { adapters: cell(), bytes: cell(), hits: cell(), loads: cell(), evictions: cell(), ms: cell() };
  };
  const rows = { gpu: rowOf('gpu'), heap: rowOf('heap'), disk: rowOf('disk'), origin: rowOf('origin') };
  return {
    count: (counts) => {
      for (const tier of tiers) setText(rows[tier].adapters, String(counts[tier]));
    },
    show: ({ tiers: now }) => {
      for (const tier of tiers) {
        const { bytes, hits, loads, evictions, loadMs } = now[tier];
        const row = rows[tier];
        setText(row.bytes, bytesInWords(bytes));
        setText(row.hits, String(hits));
        setText(row.loads, String(loads));
        setText(row.evictions, tier === 'origin' ? '–' : String(evictions));
        setText(row.ms, spreadInWords(loadMs));
      }
    },
  };
}
