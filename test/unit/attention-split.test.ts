import { expect, test } from 'vitest';
import { isSplitIn, type SplitStep } from '../../src/model/forward-attention.ts';

const STEP: SplitStep = { splits: 7, workgroups: 8, partBytes: 1000, room: 1e6, mostRows: 16, fullWorkgroups: 128 };
const decode = (rows: number) => ({ rows, sequences: rows });

test.each([
  ['a row', decode(1), {}, true],
  ['a row with keys of one split', decode(1), { splits: 1 }, false],
  ['as many rows as there is always room for', decode(16), { workgroups: 512 }, true],
  ['more rows that fill a device', decode(17), { workgroups: 136 }, false],
  ['more rows of a model with one kv head', decode(64), { workgroups: 64 }, true],
  ['the same with more keys than there is room for', decode(64), { workgroups: 64, splits: 16 }, false],
  ['a chunk of a prompt, which shares its keys', { rows: 64, sequences: 1 }, { workgroups: 64 }, false],
] as const)('%s', (_, plan, step, expected) => {
  expect(isSplitIn(plan, { ...STEP, ...step })).toBe(expected);
});
