import type { Spread, Stats } from './report-types.ts';

/** What one step computed. */
export interface Batch {
  readonly promptRows: number;
  readonly decodeRows: number;
  readonly sequences: number;
  readonly adapters: number;
}

/** The latest values of one kind. Adding allocates nothing; the spread is computed when it is asked for. */
export interface Series {
  add(value: number): void;
  spread(): Spread;
}

/** Measures for people: what `Stats` says of times and rates. Pure: the clock comes in as `now`, in milliseconds. */
export interface Meter {
  /** Something runs from now on; a no-op where it does already. Nothing counts as time passed until then. */
  begin(now: number): void;
  /** Nothing runs any more. */
  rest(now: number): void;
  /** A step came back that took `ms` on the device. */
  step(batch: Batch, ms: number): void;
  /** Tokens were given to requests. */
  tokens(count: number, now: number): void;
  firstToken(ms: number): void;
  betweenTokens(ms: number): void;
  /** A running mean of the latest steps, at once; 0 where there is none. */
  stepMs(): number;
  report(now: number): MeterReport;
}

export type MeterReport = Pick<Stats, 'batch' | 'tokensPerSecond' | 'firstTokenMs' | 'betweenTokensMs' | 'stepMs' | 'busyMs'>;

const SERIES_LENGTH = 1024;
const BATCHES = 64;
/** 10 s in slices of 100 ms, and the one that is being filled. */
const SLICE_MS = 100;
const SLICES = 101;
/** How much of the running mean of step times a step makes. */
const STEP_SHARE = 1 / 16;

/** Keeps the latest 1024 values; percentiles are nearest ranks: each is a value that was added. */
export function createSeries(): Series {
  const ring = new Float64Array(SERIES_LENGTH);
  let added = 0;
  return {
    add: (value) => {
      ring[added++ % SERIES_LENGTH] = value;
    },
    spread: () => {
      const sorted = ring.slice(0, Math.min(added, SERIES_LENGTH)).sort();
      const rank = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
      return { p50: rank(0.5), p95: rank(0.95), max: rank(1) };
    },
  };
}

export function createMeter(): Meter {
  const firstToken = createSeries();
  const betweenTokens = createSeries();
  const steps = createSeries();
  const batches = createBatchMean();
  const rate = createRate();
  let typical = 0;
  let busyMs = 0;
  let began: number | undefined;
  const busy = (now: number): number => busyMs + (began === undefined ? 0 : Math.max(0, now - began));

  return {
    begin: (now) => {
      began ??= now;
    },
    rest: (now) => {
      busyMs = busy(now);
      began = undefined;
    },
    step: (batch, ms) => {
      typical = typical === 0 ? ms : typical + STEP_SHARE * (ms - typical);
      steps.add(ms);
      batches.add(batch);
    },
    tokens: (count, now) => rate.add(count, busy(now)),
    firstToken: firstToken.add,
    betweenTokens: betweenTokens.add,
    stepMs: () => typical,
    report: (now) => ({
      batch: batches.mean(),
      tokensPerSecond: rate.perSecond(busy(now)),
      firstTokenMs: firstToken.spread(),
      betweenTokensMs: betweenTokens.spread(),
      stepMs: steps.spread(),
      busyMs: busy(now),
    }),
  };
}

/** The mean of the latest 64 batches; zeros where there is none. */
function createBatchMean(): { add(batch: Batch): void; mean(): Batch } {
  const [promptRows, decodeRows, sequences, adapters] = Array.from({ length: 4 }, () => new Float64Array(BATCHES)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  let added = 0;
  const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, Math.min(added, BATCHES));
  return {
    add: (batch) => {
      const at = added++ % BATCHES;
      promptRows[at] = batch.promptRows;
      decodeRows[at] = batch.decodeRows;
      sequences[at] = batch.sequences;
      adapters[at] = batch.adapters;
    },
    mean: () => ({
      promptRows: mean(promptRows),
      decodeRows: mean(decodeRows),
      sequences: mean(sequences),
      adapters: mean(adapters),
    }),
  };
}

/** Tokens per second over the last 10 s of a clock that runs only while something does. */
function createRate(): { add(tokens: number, busyMs: number): void; perSecond(busyMs: number): number } {
  const slices = new Float64Array(SLICES);
  let current = 0;
  const advance = (busyMs: number): void => {
    const slice = Math.floor(busyMs / SLICE_MS);
    for (let skipped = Math.max(current + 1, slice - SLICES + 1); skipped <= slice; skipped++) slices[skipped % SLICES] = 0;
    current = Math.max(current, slice);
  };
  return {
    add: (tokens, busyMs) => {
      advance(busyMs);
      slices[current % SLICES]! += tokens;
    },
    perSecond: (busyMs) => {
      advance(busyMs);
      const since = Math.max(0, current - SLICES + 1) * SLICE_MS;
      const tokens = slices.reduce((sum, value) => sum + value, 0);
      return busyMs > since ? (1000 * tokens) / (busyMs - since) : 0;
    },
  };
}
