import { toF16 } from '../formats/half.ts';
import type { Specialisation } from '../gpu/kernel.ts';
import type { PoolType } from '../kernels/libraries.ts';
import { stepConstants, stepLayout } from '../kernels/step-layout.ts';
import { createPlanner, type Plan, type StepItem } from '../model/plan.ts';

export type Words = Uint32Array<ArrayBuffer>;

/** A hot kernel: what there are several variants of. */
export type KernelRole = 'matmul' | 'shrink' | 'expand' | 'attention' | 'norm' | 'sampler';
export const KERNEL_ROLES: readonly KernelRole[] = ['matmul', 'shrink', 'expand', 'attention', 'norm', 'sampler'];

/** One dispatch whose result is known. */
export interface KernelCase {
  readonly role: KernelRole;
  /** For people: what is computed. */
  readonly name: string;
  /** Rows of the step: a variant for fewer is not asked. */
  readonly rows: number;
  /** Of its longest segment of rows with the same adapters; undefined: it has none. */
  readonly segmentRows?: number;
  readonly specialisation: Specialisation;
  /** What the buffers hold before; numbers that nothing may use are NaN. */
  readonly buffers: Readonly<Record<string, Words>>;
  /** The buffer that it writes. */
  readonly output: string;
  /** Of what the output is; default: f32, the same within a tolerance. `words`: u32, the same. */
  readonly holds?: 'words';
  /** Numbers in a row of the output: an error counts against the row's largest. */
  readonly rowLength: number;
  /** What `Variant.threads` takes. */
  readonly work: unknown;
  /** The output as loops on the CPU compute it. */
  readonly expected: () => Words;
}

/** NaN with payloads of their own: what nobody wrote is known by it, and what was computed from an input's is no number. */
const POISON = { input: 0x7fc1_7fc1, output: 0x7fd2_7fd2 } as const;

export const LAYOUT = stepLayout({ rows: 64, logitRows: 64, samplers: 8 });
export const STEP = stepConstants(LAYOUT);

/** Whole numbers from -64 to 64 over 64: all number types hold them exactly. */
export function sixtyFourths(seed: number): (count: number) => Float32Array<ArrayBuffer> {
  let state = seed;
  return (count) =>
    Float32Array.from({ length: count }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return ((state >>> 8) % 129) / 64 - 1;
    });
}

export const poison = (words: number, kind: keyof typeof POISON): Words => new Uint32Array(words).fill(POISON[kind]);
export const bitsOf = (values: Float32Array<ArrayBuffer>): Words => new Uint32Array(values.buffer);

/** An input: numbers, and poison behind them. */
export function withPoison(values: Float32Array<ArrayBuffer>, more: number): Words {
  const words = poison(values.length + more, 'input');
  words.set(bitsOf(values));
  return words;
}

export const planOf = (items: readonly StepItem[]): Plan => {
  const plan = createPlanner(LAYOUT)(items);
  return { ...plan, words: plan.words.slice() };
};

/** Rows of one sequence, of which nothing but their number and place matters. */
export const rowsOf = (slot: number, start: number, count: number, more: Partial<StepItem> = {}): StepItem => ({
  slot,
  start,
  count,
  tokens: new Array<number>(count).fill(0),
  parts: [],
  logitRows: 0,
  logits: 'stay',
  sampler: undefined,
  ...more,
});

/** Numbers as a pool holds them. */
export function poolWords(numbers: Float32Array<ArrayBuffer>, type: PoolType): Words {
  return type === 'f32' ? bitsOf(numbers) : new Uint32Array(toF16(numbers).buffer);
}
