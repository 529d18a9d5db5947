import { ALL, ATTENTION, generateAdapter, type AdapterFiles } from './generated-adapter.ts';

/** How many adapters the Thousand view has, and what all of them are drawn from. */
export const THOUSAND = 1000;
export const SEED = 7;

/** An adapter of the thousand: what its folder would say of it. */
export interface Recipe {
  readonly rank: 4 | 8 | 16;
  /** `attention`: q, k, v and o; `all`: the MLP's three as well. */
  readonly targets: 'attention' | 'all';
}

/** `thousand-0042`. Throws RangeError for what is no number from 1 to 1,000. */
export function thousandId(number: number): string {
  if (!Number.isInteger(number) || number < 1 || number > THOUSAND) throw new RangeError(`No adapter of the thousand: ${number}`);
  return `thousand-${String(number).padStart(4, '0')}`;
}

/** The number in such an id; undefined for every other id. */
export function thousandNumber(id: string): number | undefined {
  const digits = /^thousand-(\d{4})$/.exec(id)?.[1];
  const number = Number(digits);
  return digits !== undefined && number >= 1 && number <= THOUSAND ? number : undefined;
}

/** Of each number its own state for xorshift32, which must not be 0. */
function stateOf(seed: number, number: number): number {
  let mixed = Math.imul(seed ^ 0x5bd1_e995, 0x85eb_ca6b) ^ Math.imul(number, 0x9e37_79b1);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0_aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
  return mixed ^ (mixed >>> 15) || 1;
}

/** Ranks 4, 8 and 16 alike; one in four changes every linear layer. The same for the same seed and number. */
export function recipeOf(seed: number, number: number): Recipe {
  const drawn = stateOf(seed, -number) >>> 0;
  return { rank: ([4, 8, 16] as const)[drawn % 3]!, targets: (drawn >>> 8) % 4 === 0 ? 'all' : 'attention' };
}

/** Makes an adapter's files: the same bytes for the same seed and number, everywhere. A few milliseconds for the largest. */
export function thousandFiles(seed: number, number: number): AdapterFiles {
  const { rank, targets } = recipeOf(seed, number);
  return generateAdapter({ modules: targets === 'all' ? ALL : ATTENTION, rank, state: stateOf(seed, number) });
}

/** The `resolve` of the page's worker: the files of an id of the thousand, made on demand; undefined for every other id. */
export function thousandSource(id: string): AdapterFiles | undefined {
  const number = thousandNumber(id);
  return number === undefined ? undefined : thousandFiles(SEED, number);
}
