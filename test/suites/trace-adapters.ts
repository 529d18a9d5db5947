import { createRandom } from '../../bench/sim/random.ts';
import { generateAdapter, type AdapterFiles, type Linear } from '../../demo/generated-adapter.ts';
import type { AdapterFacts } from '../../src/adapters/lower-tiers.ts';

/** The small model's linear layers that these adapters change: number among its sites, widths; public/models/frontdesk/base/config.json. */
const QUERY = { site: 0, name: 'q_proj', inWidth: 256, outWidth: 256 };
const VALUE = { site: 2, name: 'v_proj', inWidth: 256, outWidth: 128 };
const LAYERS = 8;
const ALPHA = 16;

/** Bytes of a page in one layer of the small model in single precision: keys and values of 16 tokens, 4 heads of 32. */
export const PAGE_BYTES = 2 * 16 * 4 * 32 * 4;

interface Shape {
  readonly rank: number;
  readonly linears: readonly (typeof QUERY)[];
}

const numberOf = (adapter: string): number => Number(adapter.match(/\d+$/)![0]);

/** Ranks of 4 to 32, on one linear layer or two. */
function shapeOf(adapter: string): Shape {
  const random = createRandom(numberOf(adapter));
  return { rank: 4 + random.below(29), linears: random.below(4) === 0 ? [VALUE] : [QUERY, VALUE] };
}

/** What an adapter takes in each tier, by arithmetic from its shape: how it is packed is DESIGN's layout, A and B at multiples of 256 bytes. */
export function factsOf(adapter: string): AdapterFacts {
  const { rank, linears } = shapeOf(adapter);
  const rank4 = 4 * Math.ceil(rank / 4);
  const align = (offset: number): number => 256 * Math.ceil(offset / 256);
  let end = 0;
  const rows = linears.map(({ site, inWidth, outWidth }) => {
    const first = align(end);
    const second = align(first + 4 * rank4 * inWidth);
    end = second + 4 * rank4 * outWidth;
    return [site, first / 16, second / 16, rank4, ALPHA / rank];
  });
  const outside = [0, []];
  const blocks = [...Array.from({ length: LAYERS }, () => [end / 4, rows]), outside];
  const header = JSON.stringify({ digest: '0'.repeat(64), precision: 'exact', rank, rank4, blocks }).length;
  const bytes = LAYERS * end;
  return { digest: adapter, pages: Math.ceil(end / PAGE_BYTES), bytes, stored: 8 + 4 * Math.ceil(header / 4) + bytes };
}

/** An adapter's folder as PEFT saves it. No two are the same, and the same number always gives the same bytes. */
export function adapterFiles(adapter: string): AdapterFiles {
  const { rank, linears } = shapeOf(adapter);
  const modules = linears.map(({ name, inWidth, outWidth }): Linear => [`self_attn.${name}`, inWidth, outWidth]);
  return generateAdapter({ modules, rank, alpha: ALPHA, state: numberOf(adapter) + 1 });
}
