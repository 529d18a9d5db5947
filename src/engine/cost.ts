/** What one step computes. */
export interface StepLoad {
  readonly rows: number;
  /** Rows whose logits are computed. */
  readonly logitRows: number;
  /** Keys attended, summed over the rows. */
  readonly keys: number;
  /** Rows times the adapters of each. */
  readonly loraRows: number;
}

/** What a step takes on this device, learned from the steps that ran. Pure. */
export interface CostEstimate {
  /**
   * Milliseconds that a step of this load will take; finite and never negative. Before the first sample it is a cautious guess of
   * 10 ms a row, so that a scheduler which plans by it starts with small steps and learns from them.
   */
  of(load: StepLoad): number;
  /**
   * Takes note of a step that took `ms`. What is no load or no time (not finite, negative, without rows) is passed over. Steps that are
   * heard of at once, one with the time of all and the others with next to none, are learned as one.
   */
  learn(load: StepLoad, ms: number): void;
  /** How many steps it took note of. */
  readonly samples: number;
}

/** Relative flops of one of each, from the model's shape; their common factor does not matter. */
export interface CostUnits {
  readonly row: number;
  readonly logitRow: number;
  readonly key: number;
  readonly loraRow: number;
}

/** Of a step, of its products with matrices, and of its attention; the latter two in rows' worth of flops. */
type Triple = [fixed: number, products: number, attention: number];
type Matrix = [Triple, Triple, Triple];

interface Sample {
  /** Of all its steps: `load[0]` is how many they are. */
  readonly load: Triple;
  readonly ms: number;
  /** The number of its last step. */
  readonly at: number;
}

const GUESS_MS_A_ROW = 10;
/** Samples that are kept of each size of step. */
const KEPT = 6;
/** How much a sample counts beside the one after it, */
const FADE = 0.94;
/** and the least that a kept one counts: a chunk's price stays known through thousands of decode steps. */
const LEAST_WEIGHT = 0.04;
/** In samples' worth of evidence: that a step costs nothing besides its rows. Where all steps are alike, their flops price larger ones. */
const TRUST_IN_ROWS = 0.5;
/** In samples' worth of evidence: that attention's flops cost what the others cost. */
const TRUST_IN_FLOPS = 0.1;
/** A step that exceeds its estimate by more than this share is doubted, the more the further: it may be a stall. */
const MOST_EXCESS = 1;
/** So many such steps in a row are the device: each pulls as hard as one at the edge of doubt, in place of less. */
const LONG_IN_A_ROW = 3;
/** A step below this share of its estimate came back with the one before it: the two are one sample. */
const LEAST_SHARE = 0.05;
/** Steps in one sample at most: more in a row, and the device is that quick. */
const MOST_TOGETHER = 8;
const LEAST_MS = 0.01;
const MOST_MS = 100_000;
const MOST_WORK = 1e9;
/** Every choice of prices that are not 0. */
const CHOICES = [[0, 1, 2], [0, 1], [0, 2], [1, 2], [0], [1], [2]] as const;

/**
 * Least squares on `fixed + products × work + attention × keys`, with no price below 0, over the latest steps of each size, older ones
 * counting less. Errors are relative to the estimate, so that a decode step tells as much as a long chunk. A step's size keeps its
 * samples: forgetting by age alone would let decode steps blot out what chunks cost.
 * @throws RangeError where a unit is no finite number from 0 on, or `row` is 0.
 */
export function createCostEstimate(units: CostUnits): CostEstimate {
  for (const [name, unit] of Object.entries(units) as [string, number][]) {
    if (!(unit >= 0 && unit < Infinity)) throw new RangeError(`units.${name} must be a finite number of at least 0; got ${unit}.`);
  }
  if (units.row === 0) throw new RangeError('units.row must be above 0.');
  const sizes = new Map<number, Sample[]>();
  let prices: Triple = [0, GUESS_MS_A_ROW, GUESS_MS_A_ROW];
  let latest: Sample | undefined;
  let longInARow = 0;
  let samples = 0;

  const payOf = ({ rows, logitRows, keys, loraRows }: StepLoad): Triple => [
    1,
    rows + (logitRows * units.logitRow + loraRows * units.loraRow) / units.row,
    (keys * units.key) / units.row,
  ];

  return {
    of: (load) => dot(prices, payOf(load)),
    learn: (step, ms) => {
      const pay = payOf(step);
      if (!(step.rows > 0 && ms >= 0 && ms < Infinity) || !pay.every((number) => number >= 0 && number <= MOST_WORK)) return;
      const mates = latest && ms < LEAST_SHARE * dot(prices, pay) && latest.load[0] < MOST_TOGETHER ? latest : undefined;
      if (mates) drop(sizes, mates);
      const [load, spent] = mates ? [sum(mates.load, pay), mates.ms + ms] : [pay, ms];
      latest = { load, ms: Math.min(MOST_MS, Math.max(LEAST_MS, spent)), at: samples++ };
      keep(sizes, latest);
      longInARow = excessOf(latest, prices) > MOST_EXCESS ? longInARow + 1 : 0;
      if (samples === 1) prices = byFlops(latest, latest.ms);
      prices = fit(sizes.values(), prices, latest, longInARow < LONG_IN_A_ROW ? 2 : 1) ?? prices;
    },
    get samples() {
      return samples;
    },
  };
}

const FADED = Array.from({ length: 100 }, (_, age) => Math.max(LEAST_WEIGHT, FADE ** age));
const weightAt = (age: number): number => FADED[age] ?? LEAST_WEIGHT;

/** By powers of two of the work of one of the sample's steps. */
const sizeOf = ({ load }: Sample): number => Math.round(Math.log2((load[1] + load[2]) / load[0]));

function keep(sizes: Map<number, Sample[]>, sample: Sample): void {
  const size = sizeOf(sample);
  const kept = sizes.get(size) ?? [];
  sizes.set(size, kept);
  kept.push(sample);
  if (kept.length > KEPT) kept.shift();
}

/** Takes back the sample that was kept last. */
const drop = (sizes: Map<number, Sample[]>, sample: Sample): void => void sizes.get(sizeOf(sample))!.pop();

/** The prices at which a sample of `ms` pays for its flops alone. */
function byFlops({ load }: Sample, ms: number): Triple {
  const price = ms / (load[1] + load[2]);
  return [0, price, price];
}

const estimateOf = ({ load }: Sample, prices: Triple): number => Math.max(LEAST_MS, dot(prices, load));
const excessOf = (sample: Sample, prices: Triple): number => sample.ms / estimateOf(sample, prices) - 1;

/**
 * One round of reweighted least squares from the prices so far; the next sample brings the next round. `doubt`: the power by which the
 * weight of steps that took far too long falls.
 */
function fit(sizes: Iterable<readonly Sample[]>, prices: Triple, latest: Sample, doubt: 1 | 2): Triple | undefined {
  const matrix: Matrix = [
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
  ];
  const target: Triple = [0, 0, 0];
  const typical = estimateOf(latest, prices);
  const [, price] = byFlops(latest, typical);
  add(matrix, [1 / typical, 0, 0], TRUST_IN_ROWS);
  add(matrix, [0, 1 / price, -1 / price], TRUST_IN_FLOPS);
  for (const kept of sizes) {
    for (const sample of kept) {
      const { load, ms, at } = sample;
      const estimate = estimateOf(sample, prices);
      const trust = MOST_EXCESS / Math.max(MOST_EXCESS, ms / estimate - 1);
      const weight = ((doubt === 2 ? trust * trust : trust) * weightAt(latest.at - at)) / (estimate * estimate);
      add(matrix, load, weight);
      for (let i = 0; i < 3; i++) target[i]! += weight * ms * load[i]!;
    }
  }
  return leastSquares(matrix, target);
}

const sum = (a: Triple, b: Triple): Triple => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
const dot = (a: Triple, b: Triple): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/** matrix += factor · a aᵀ */
function add(matrix: Matrix, a: Triple, factor: number): void {
  for (let i = 0; i < 3; i++) {
    const row = matrix[i]!;
    const scaled = factor * a[i]!;
    row[0] += scaled * a[0];
    row[1] += scaled * a[1];
    row[2] += scaled * a[2];
  }
}

/** The x ≥ 0 that makes ½ xᵀMx − tᵀx least; undefined where rounding has left M without one. */
function leastSquares(matrix: Matrix, target: Triple): Triple | undefined {
  let best: Triple | undefined;
  for (const choice of CHOICES) {
    const x = solve(matrix, target, choice);
    // At the least point of a choice the function is −½ tᵀx.
    if (x?.every((value) => value >= 0 && value < Infinity) && (!best || dot(target, x) > dot(target, best))) best = x;
  }
  return best;
}

/** Solves the chosen rows and columns by elimination; the others' values are 0. */
function solve(matrix: Matrix, target: Triple, choice: readonly (0 | 1 | 2)[]): Triple | undefined {
  const rows = choice.map((i) => [...choice.map((j) => matrix[i][j]), target[i]]);
  const size = choice.length;
  for (let i = 0; i < size; i++) {
    const row = rows[i]!;
    if (!(row[i]! > 0)) return undefined;
    for (const other of rows) {
      if (other === row) continue;
      const factor = other[i]! / row[i]!;
      for (let j = i; j <= size; j++) other[j]! -= factor * row[j]!;
    }
  }
  const x: Triple = [0, 0, 0];
  choice.forEach((i, at) => (x[i] = rows[at]![size]! / rows[at]![at]!));
  return x;
}
