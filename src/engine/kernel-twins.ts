import { PART_WORDS, ROW_WORDS, SEGMENT_WORDS, type StepLayout } from '../kernels/step-layout.ts';

/** The hot kernels as loops on the CPU, in double: what a device's plain kernels are held to. Each returns the output's words. */
type Words = Uint32Array<ArrayBuffer>;
type Numbers = ArrayLike<number>;

const floatOf = (word: number): number => new Float32Array(Uint32Array.of(word).buffer)[0]!;

export interface MatmulTwin {
  readonly x: Numbers;
  readonly weights: Numbers;
  readonly rows: number;
  readonly width: number;
  readonly out: number;
  readonly outAt: number;
  readonly yStride: number;
  readonly output: 'replace' | 'add';
}

export function matmulTwin({ x, weights, rows, width, out, outAt, yStride, output }: MatmulTwin, before: Words): Words {
  const words = before.slice();
  const y = new Float32Array(words.buffer);
  for (let row = 0; row < rows; row++) {
    for (let n = 0; n < out; n++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += x[row * width + k]! * weights[n * width + k]!;
      const at = row * yStride + outAt + n;
      y[at] = sum + (output === 'add' ? y[at]! : 0);
    }
  }
  return words;
}

interface LoraTwin {
  readonly words: Words;
  readonly layout: StepLayout;
  readonly segments: number;
  readonly descriptors: Words;
  readonly pool: Numbers;
  /** Numbers of one split in a row of v. */
  readonly ranks: number;
  readonly siteFirst: number;
  readonly sites: number;
  readonly sitesInModel: number;
  readonly splits: number;
}

interface Change {
  readonly row: number;
  readonly vRow: number;
  readonly site: number;
  readonly a: number;
  readonly b: number;
  readonly rank: number;
  readonly scale: number;
  readonly outStart: number;
  readonly outCount: number;
  /** Where vectors of its columns lie, in numbers; undefined: it has none. */
  readonly gain: number | undefined;
  readonly bias: number | undefined;
}

/** What every part of every segment does to every site of every row, in the order in which it is added. */
function* changes({ words, layout, segments, descriptors, siteFirst, sites, sitesInModel }: LoraTwin): Generator<Change, void, undefined> {
  for (let s = 0; s < segments; s++) {
    const at = layout.segmentsAt + s * SEGMENT_WORDS;
    const [rowStart, rowCount, partStart, partCount, vRow] = words.subarray(at, at + 5) as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    for (let p = 0; p < partCount; p++) {
      const part = layout.partsAt + (partStart + p) * PART_WORDS;
      for (let site = 0; site < sites; site++) {
        const first = (words[part]! * sitesInModel + siteFirst + site) * 8;
        const [a, b, rank, scale, outStart, outCount, gain, bias] = [...descriptors.subarray(first, first + 8)] as [
          number,
          number,
          number,
          number,
          number,
          number,
          number,
          number,
        ];
        const all = floatOf(words[part + 1]!) * floatOf(scale);
        const change = { site, a: a * 4, b: b * 4, rank, scale: all, outStart, outCount, gain: vectorAt(gain), bias: vectorAt(bias) };
        for (let row = 0; row < rowCount; row++) yield { ...change, row: rowStart + row, vRow: vRow + p * rowCount + row };
      }
    }
  }
}

/** The first number of a vector, as the descriptor table names it. */
const vectorAt = (named: number): number | undefined => (named === 0 ? undefined : (named - 1) * 4);

export function shrinkTwin(
  twin: LoraTwin & { readonly x: Numbers; readonly width: number; readonly stride: number; readonly splitColumns: number },
  before: Words,
): Words {
  const { x, width, stride, splitColumns, pool, sites, splits, ranks } = twin;
  const words = before.slice();
  const v = new Float32Array(words.buffer);
  for (const { row, vRow, site, a, rank } of changes(twin)) {
    for (let split = 0; split < splits; split++) {
      for (let r = 0; r < rank; r++) {
        let sum = 0;
        for (let k = split * splitColumns; k < Math.min(width, (split + 1) * splitColumns); k++)
          sum += x[row * stride + k]! * pool[a + k * rank + r]!;
        v[((vRow * sites + site) * splits + split) * ranks + r] = sum;
      }
    }
  }
  return words;
}

export function expandTwin(
  twin: LoraTwin & { readonly v: Numbers; readonly yStride: number; /** The pool's words as f32. */ readonly vectors: Numbers },
  before: Words,
): Words {
  const { v, yStride, pool, vectors, sites, splits, ranks } = twin;
  const words = before.slice();
  const y = new Float32Array(words.buffer);
  for (const { row, vRow, site, b, rank, scale, outStart, outCount, gain, bias } of changes(twin)) {
    for (let n = 0; n < outCount; n++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) {
        for (let split = 0; split < splits; split++)
          sum += v[((vRow * sites + site) * splits + split) * ranks + r]! * pool[b + r * outCount + n]!;
      }
      const at = row * yStride + outStart + n;
      const result = (y[at]! + scale * sum) * (gain === undefined ? 1 : vectors[gain + n]!);
      y[at] = result + (bias === undefined ? 0 : vectors[bias + n]!);
    }
  }
  return words;
}

export interface AttentionTwin {
  readonly words: Words;
  readonly layout: StepLayout;
  readonly rows: number;
  /** Rows whose sequence has ended. */
  readonly done: readonly number[];
  readonly blocks: Numbers;
  readonly pagesPerRow: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly headDim: number;
  readonly qkv: Numbers;
  readonly width: number;
  readonly pool: Numbers;
  readonly scale: number;
  /** Keys that a row sees, its own included; 0: all before it. */
  readonly window: number;
  /** cap · tanh(score / cap); 0: none. */
  readonly cap: number;
  readonly outStride: number;
}

export function attentionTwin(twin: AttentionTwin, before: Words): Words {
  const { words, layout, rows, done, kvHeads, group, headDim, qkv, width, pool, scale, window, cap, outStride } = twin;
  const result = before.slice();
  const out = new Float32Array(result.buffer);
  const half = kvHeads * 16 * headDim;
  for (let row = 0; row < rows; row++) {
    const [, position, blockRow] = words.subarray(layout.rowsAt + row * ROW_WORDS) as unknown as [number, number, number];
    for (let head = 0; head < kvHeads * group; head++) {
      const sums = new Float64Array(headDim);
      let total = 0;
      const first = window === 0 ? 0 : Math.max(0, position + 1 - window);
      const keys = Array.from({ length: done.includes(blockRow) ? 0 : position + 1 - first }, (_, i) => {
        const key = first + i;
        const page = twin.blocks[blockRow * twin.pagesPerRow + (key >> 4)]!;
        const k = ((page * 2 * kvHeads + Math.floor(head / group)) * 16 + (key & 15)) * headDim;
        let score = 0;
        for (let d = 0; d < headDim; d++) score += qkv[row * width + head * headDim + d]! * pool[k + d]!;
        return { k, score: cap > 0 ? cap * Math.tanh((score * scale) / cap) : score * scale };
      });
      const top = Math.max(...keys.map(({ score }) => score));
      for (const { k, score } of keys) {
        const weight = Math.exp(score - top);
        total += weight;
        for (let d = 0; d < headDim; d++) sums[d]! += weight * pool[k + half + d]!;
      }
      for (let d = 0; d < headDim; d++) out[row * outStride + head * headDim + d] = sums[d]! / (total || 1);
    }
  }
  return result;
}

export interface NormTwin {
  readonly x: Numbers;
  readonly weight: Numbers;
  /** The row of x that each row of y is the norm of. */
  readonly rows: readonly number[];
  readonly width: number;
  readonly stride: number;
  readonly epsilon: number;
  /** `add`: to what y holds. */
  readonly output: 'replace' | 'add';
}

export function normTwin({ x, weight, rows, width, stride, epsilon, output }: NormTwin, before: Words): Words {
  const words = before.slice();
  const y = new Float32Array(words.buffer);
  for (const [at, row] of rows.entries()) {
    let squares = 0;
    for (let k = 0; k < width; k++) squares += x[row * stride + k]! ** 2;
    for (let k = 0; k < width; k++) {
      const value = (x[row * stride + k]! * weight[k]!) / Math.sqrt(squares / width + epsilon);
      y[at * stride + k] = output === 'add' ? y[at * stride + k]! + value : value;
    }
  }
  return words;
}
