import type { CostEstimate, StepLoad } from './cost.ts';
import { PAGE_TOKENS } from '../kernels/step-layout.ts';
import { prefillLeft, type Sequence } from './sequence.ts';
import { keysOf } from './window.ts';

/** A sequence's rows in one step: positions `start` to `start + count − 1`. */
export interface Work {
  readonly sequence: Sequence;
  readonly start: number;
  readonly count: number;
  readonly kind: 'prefill' | 'decode';
  /** The last row's logits give the next token. */
  readonly samples: boolean;
  /** How many of the last rows need logits. */
  readonly logitRows: number;
  /** Of the sequence: which one this work belongs to. */
  readonly admission: number;
}

export interface StepLimits {
  /** Rows (tokens) of one step. */
  readonly batchRows: number;
  /** Prompt tokens of one sequence in one step. */
  readonly prefillChunk: number;
  /** Rows of one step whose logits are computed. */
  readonly logitRows: number;
  /** Milliseconds of a step while answers stream. */
  readonly stepMs: number;
  /** Positions that a row reads, its own included, in the layer that reads most; Infinity: all before it. */
  readonly window: number;
}

/** Rows are computed in fours: a chunk that ends between two of them costs as much as one that fills them. */
const TILE_ROWS = 4;
/** A prompt goes on by this many rows in every step, whatever the estimate says. */
export const LEAST_CHUNK = 4;
/** A step may take this many times what its decode rows alone take: gaps between tokens grow no further than that. */
const STRETCH = 1.75;
/** Where nothing streams, a step may take this many times `stepMs`: it then bounds how soon a newcomer is heard. */
const IDLE_STRETCH = 10;

/** Milliseconds that a step may take whose decode rows take `decodeMs` (0: there are none). */
export function stepBudget(stepMs: number, decodeMs: number): number {
  return decodeMs > 0 ? Math.max(stepMs, STRETCH * decodeMs) : IDLE_STRETCH * stepMs;
}

export const NO_LOAD: StepLoad = { rows: 0, logitRows: 0, keys: 0, loraRows: 0 };

/** Positions that a sequence's pages have room for. */
export function placesLeft({ pages, computed }: Sequence): number {
  return pages.length * PAGE_TOKENS - computed;
}

/** A load with `count` more rows of a sequence from position `start` on. */
export function addRows(
  load: StepLoad,
  { blend }: Sequence,
  { start, count, logitRows }: Pick<Work, 'start' | 'count' | 'logitRows'>,
  window: number,
): StepLoad {
  return {
    rows: load.rows + count,
    logitRows: load.logitRows + logitRows,
    keys: load.keys + keysOf(start, count, window),
    loraRows: load.loraRows + count * blend.length,
  };
}

/** What a step computes so far, and the rows that may still be added to it. */
export interface StepBudget {
  /** The step's load so far. */
  load(): StepLoad;
  /** Adds a sequence's next decode row. */
  decode(sequence: Sequence): Work;
  /** Adds the next chunk of a sequence's prompt; undefined where no row of it fits. */
  prefill(sequence: Sequence): Work | undefined;
}

/** Makes the budget of one step, which begins with its decode rows. */
export function createStepBudget(limits: StepLimits, cost: CostEstimate): StepBudget {
  let load = NO_LOAD;
  let decodes = NO_LOAD;
  let budget: number | undefined;
  let prompts = 0;

  /** The longest chunk of at most `most` rows within the milliseconds. */
  const affordable = (sequence: Sequence, most: number): number => {
    const milliseconds = (budget ??= stepBudget(limits.stepMs, decodes.rows > 0 ? cost.of(decodes) : 0));
    const start = sequence.computed;
    const logitRows = (count: number): number => (sequence.logits === 'prompt' ? count : 1);
    const fits = (count: number): boolean =>
      cost.of(addRows(load, sequence, { start, count, logitRows: logitRows(count) }, limits.window)) <= milliseconds;
    if (fits(most)) return most;
    let low = 0;
    for (let high = most; high - low > 1;) {
      const middle = (low + high) >> 1;
      if (fits(middle)) low = middle;
      else high = middle;
    }
    const surplus = (load.rows + low) % TILE_ROWS;
    const count = low > surplus ? low - surplus : low;
    return prompts === 0 ? Math.max(count, Math.min(LEAST_CHUNK, most)) : count;
  };

  return {
    load: () => load,
    decode: (sequence) => {
      const start = sequence.computed;
      load = decodes = addRows(load, sequence, { start, count: 1, logitRows: 1 }, limits.window);
      sequence.computed += 1;
      sequence.pending += 1;
      return { sequence, start, count: 1, kind: 'decode', samples: true, logitRows: 1, admission: sequence.admissions };
    },
    prefill: (sequence) => {
      const left = prefillLeft(sequence);
      const places = limits.logitRows - load.logitRows;
      let most = Math.min(left, limits.prefillChunk, limits.batchRows - load.rows, placesLeft(sequence));
      if (sequence.logits === 'prompt') most = Math.min(most, places);
      if (most <= 0) return undefined;
      let count = affordable(sequence, most);
      if (count === left && places === 0) count -= 1; // the last row samples: it waits for a step with room for its logits
      if (count <= 0) return undefined;
      const start = sequence.computed;
      const samples = count === left;
      const logitRows = sequence.logits === 'prompt' ? count : samples ? 1 : 0;
      load = addRows(load, sequence, { start, count, logitRows }, limits.window);
      prompts += 1;
      sequence.computed += count;
      if (samples) sequence.pending += 1;
      return { sequence, start, count, kind: 'prefill', samples, logitRows, admission: sequence.admissions };
    },
  };
}
