import { createRandom } from '../../bench/sim/random.ts';
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
  const layers = Array.from({ length: LAYERS }, () => [end / 4, rows]);
  const header = JSON.stringify({ digest: '0'.repeat(64), precision: 'exact', rank, rank4, layers }).length;
  const bytes = LAYERS * end;
  return { digest: adapter, pages: Math.ceil(end / PAGE_BYTES), bytes, stored: 8 + 4 * Math.ceil(header / 4) + bytes };
}

/** An adapter's folder as PEFT saves it. No two are the same, and the same number always gives the same bytes. */
export function adapterFiles(adapter: string): Readonly<Record<string, Uint8Array<ArrayBuffer>>> {
  const { rank, linears } = shapeOf(adapter);
  const config = { peft_type: 'LORA', r: rank, lora_alpha: ALPHA, target_modules: linears.map(({ name }) => name) };
  const header: Record<string, unknown> = {};
  let end = 0;
  const add = (name: string, shape: readonly [number, number]): void => {
    header[name] = { dtype: 'F16', shape, data_offsets: [end, (end += 2 * shape[0] * shape[1])] };
  };
  for (let layer = 0; layer < LAYERS; layer++) {
    for (const { name, inWidth, outWidth } of linears) {
      const module = `base_model.model.model.layers.${layer}.self_attn.${name}`;
      add(`${module}.lora_A.weight`, [rank, inWidth]);
      add(`${module}.lora_B.weight`, [outWidth, rank]);
    }
  }
  const text = JSON.stringify(header);
  const head = new TextEncoder().encode(text.padEnd(8 * Math.ceil(text.length / 8)));
  const file = new Uint8Array(8 + head.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(head.length), true);
  file.set(head, 8);
  fill(new Uint16Array(file.buffer, 8 + head.length), numberOf(adapter));
  return { 'adapter_config.json': new TextEncoder().encode(JSON.stringify(config)), 'adapter_model.safetensors': file };
}

/** Small float16 numbers of either sign: one piece of them over and over. */
function fill(values: Uint16Array, seed: number): void {
  const random = createRandom(seed);
  const piece = Uint16Array.from({ length: 509 }, () => random.below(0x400) | (random.below(2) << 15) | (6 << 10));
  for (let at = 0; at < values.length; at += piece.length) values.set(piece.subarray(0, values.length - at), at);
}
