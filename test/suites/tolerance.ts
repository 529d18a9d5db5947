import type { Result } from '../../src/engine/types.ts';
import { check } from './suite.ts';

export type Precision = 'exact' | 'half';

/** How far a position's logits may be off, as a share of its largest absolute reference logit. */
export function tolerance(precision: Precision, model: string): number {
  if (precision === 'exact') return 2e-4;
  return model === 'base' ? 5e-3 : 6e-2;
}

/** The largest magnitude of a row. */
export function largest(row: Float32Array): number {
  return row.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** Indices of the best and the second best of a row. */
function best(row: Float32Array): { readonly token: number; readonly margin: number } {
  let token = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[token]!) token = i;
  let second = -Infinity;
  for (let i = 0; i < row.length; i++) if (i !== token && row[i]! > second) second = row[i]!;
  return { token, margin: row[token]! - second };
}

/** log-softmax in double precision. */
export function logSoftmax(row: Float32Array): Float64Array {
  const max = row.reduce((most, value) => Math.max(most, value), -Infinity);
  let sum = 0;
  for (const value of row) sum += Math.exp(value - max);
  const shift = max + Math.log(sum);
  return Float64Array.from(row, (value) => value - shift);
}

/**
 * One position against its reference: every value within `tol` of the position's largest absolute reference logit, and the same
 * best token where the reference's margin exceeds twice that. `values` are raw logits, or log-probabilities with `expected` their
 * reference's log-softmax: then a shift that all logits of the position share is removed on both sides.
 */
export function checkPosition(
  where: string,
  values: Float32Array,
  expected: ArrayLike<number>,
  reference: Float32Array,
  tol: number,
): void {
  check(values.length === reference.length, () => `${where}: ${values.length} values, expected ${reference.length}`);
  const allowed = tol * largest(reference);
  let worst = 0;
  for (let i = 0; i < values.length; i++) {
    const off = Math.abs(values[i]! - expected[i]!);
    if (!(off <= Math.abs(values[worst]! - expected[worst]!))) worst = i;
  }
  const off = Math.abs(values[worst]! - expected[worst]!);
  check(
    off <= allowed,
    () => `${where}: token ${worst} has ${values[worst]}, expected ${expected[worst]}, off by ${off}, allowed ${allowed}`,
  );
  const { token, margin } = best(reference);
  if (margin > 2 * allowed) {
    const found = best(values).token;
    check(found === token, () => `${where}: best token ${found}, expected ${token} with a margin of ${margin}`);
  }
}

/** What a reference generated from a prompt, and by how much each token was ahead of the second best. */
export interface Greedy {
  readonly tokens: readonly number[];
  readonly margins: readonly number[];
}

/**
 * The margin below which a step of a reference is not compared: ten times the tolerance, in logits. The references keep no logits of
 * generated positions, so the tolerance is taken of `scale`, the largest absolute logit that the reference has at any of this model's
 * prompt positions.
 */
export function thinMargin(tol: number, scale: number): number {
  return 10 * tol * scale;
}

/** A free run's tokens equal the reference's up to its first thin margin. Returns how many were compared. */
export function checkFreeRun(where: string, tokens: readonly number[], { tokens: expected, margins }: Greedy, thin: number): number {
  const first = margins.findIndex((margin) => margin < thin);
  const steps = first < 0 ? margins.length : first;
  for (let i = 0; i < steps; i++) {
    check(tokens[i] === expected[i], () => `${where}: token ${i} is ${tokens[i]}, expected ${expected[i]} with a margin of ${margins[i]}`);
  }
  return steps;
}

/** The reference's tokens, given as the end of the prompt, rank first wherever their margins are not thin. Returns how many were compared. */
export function checkRanks(where: string, first: number, { tokens, margins }: Greedy, { promptLogprobs }: Result, thin: number): number {
  let compared = 0;
  for (const [step, token] of tokens.entries()) {
    if (margins[step]! <= thin) continue;
    const found = promptLogprobs![first + step]!;
    check(found.token === token, () => `${where}: position ${first + step} reports token ${found.token}, expected ${token}`);
    check(found.rank === 1, () => `${where}: generated token ${step} (${token}) has rank ${found.rank}, its margin is ${margins[step]}`);
    compared++;
  }
  return compared;
}
