import { createCostEstimate } from '../../src/engine/cost.ts';
import type { StepLoad } from '../../src/engine/cost.ts';
import type { Machine } from './simulate.ts';

/** Milliseconds of a step: each of these, times how many there are. */
export interface Prices {
  readonly step: number;
  readonly row: number;
  readonly logitRow: number;
  readonly key: number;
  readonly loraRow: number;
}

/** What a step costs at these prices. */
export function priced({ step, row, logitRow, key, loraRow }: Prices): (load: StepLoad) => number {
  return (load) => step + load.rows * row + load.logitRows * logitRow + load.keys * key + load.loraRows * loraRow;
}

/** Relative flops of a 7B Llama, as the engine derives them from a model's shape: 32 layers of 4096 and 11008, rank 32 on q, k, v, o. */
const UNITS = { row: 6.5e9 * 2, logitRow: 0.13e9 * 2, key: 32 * 4096 * 4, loraRow: 32 * 8 * 4096 * 32 * 2 };

/**
 * S-LoRA's setting S2 on an A10G: Llama 7B, ranks 64, 32, 16 and 8 in turn on q, k, v and o. 14,000 tokens of pool in pages of 16; an
 * adapter of rank r takes the place of 4·r tokens. `slowness` scales all prices.
 */
export function a10g(slowness: number): Machine {
  const prices: Prices = { step: 30, row: 0.45, logitRow: 0.02, key: 0.0004, loraRow: 0.1 };
  const scaled = Object.fromEntries(Object.entries(prices).map(([name, value]) => [name, value * slowness])) as unknown as Prices;
  return {
    limits: {
      sequences: 128,
      adapters: 128,
      batchRows: 512,
      prefillChunk: 256,
      logitRows: 128,
      contextLength: 2048,
      adjustRows: 128,
      window: Infinity,
      stepMs: 100,
    },
    pages: 875,
    slots: 257,
    depth: 2,
    stepMs: priced(scaled),
    estimate: () => createCostEstimate(UNITS),
    adapterPages: (adapter) => [16, 8, 4, 2][Number(adapter.match(/\d+$/)?.[0] ?? 0) % 4]!,
    read: { ms: 5 },
    writeMsPerPage: 0.5,
  };
}

/** A pool in which `places` adapters of equal size fit, and every request's keys and values: loads depend on who is evicted, and on nothing else. */
export function inPlaces(places: number, sequences: number): Machine {
  const pages = 32;
  return {
    limits: {
      sequences,
      adapters: sequences,
      batchRows: 256,
      prefillChunk: 64,
      logitRows: 64,
      contextLength: 512,
      adjustRows: 64,
      window: Infinity,
      stepMs: 40,
    },
    pages: places * pages + sequences * 32,
    slots: places + 1,
    depth: 2,
    stepMs: priced({ step: 10, row: 0.2, logitRow: 0.05, key: 0.0005, loraRow: 0.05 }),
    estimate: () => createCostEstimate(UNITS),
    adapterPages: () => pages,
    read: { ms: 20 },
    writeMsPerPage: 0.1,
  };
}
