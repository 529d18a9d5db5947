import { PAGE_TOKENS } from '../../src/kernels/step-layout.ts';

/** Tokens of whole pages, each named by a number: pages of different numbers differ in a single token, and in no joined digits. */
export function textOf(...names: readonly number[]): number[] {
  return names.flatMap((name) => {
    const tokens = new Array<number>(PAGE_TOKENS).fill(1);
    tokens[(name * 5) % PAGE_TOKENS] = name % 2 === 0 ? 11 : 111;
    return tokens;
  });
}
