import { describe, expect, test } from 'vitest';
import { HEADER, MAX_END_TOKENS, MAX_PARTS, SAMPLER, SAMPLER_FLAGS, SEGMENT_WORDS, stepLayout } from '../../src/kernels/step-layout.ts';
import { createPlanner, type StepItem } from '../../src/model/plan.ts';
import type { SamplerSettings } from '../../src/model/sampling.ts';
import { GREEDY } from '../../src/model/sampling.ts';

const LAYOUT = stepLayout({ rows: 16, logitRows: 16, samplers: 8 });

const decode = (slot: number, more: Partial<StepItem> = {}): StepItem => ({
  slot,
  start: 10,
  count: 1,
  tokens: undefined,
  parts: [],
  logitRows: 1,
  logits: 'stay',
  sampler: GREEDY,
  ...more,
});

const sampled = (slot: number, settings: Partial<SamplerSettings>): StepItem => decode(slot, { sampler: { ...GREEDY, ...settings } });

function records(items: readonly StepItem[]) {
  const plan = createPlanner(LAYOUT)(items);
  const floats = new Float32Array(plan.words.buffer);
  const read = (index: number) => {
    const at = LAYOUT.samplersAt + index * SAMPLER.words;
    const ends = plan.words[at + SAMPLER.endsAt]!;
    return {
      word: (name: Exclude<keyof typeof SAMPLER, 'words'>) => plan.words[at + SAMPLER[name]]!,
      number: (name: Exclude<keyof typeof SAMPLER, 'words'>) => floats[at + SAMPLER[name]]!,
      endsAt: ends,
      ends: [...plan.words.subarray(ends, ends + plan.words[at + SAMPLER.ends]!)],
    };
  };
  return { plan, records: items.map((_, i) => read(i)) };
}

test('a plan says how many sequences its rows have, and the most keys', () => {
  const prompt = decode(1, { start: 3, count: 5, tokens: [1, 2, 3, 4, 5] });
  expect(createPlanner(LAYOUT)([decode(0, { start: 6 }), prompt])).toMatchObject({ rows: 6, sequences: 2, keys: 8 });
  expect(createPlanner(LAYOUT)([])).toMatchObject({ sequences: 0, keys: 0 });
});

describe('sampler records', () => {
  test('say what they need, and the plan how many need it', () => {
    const items = [
      decode(0),
      decode(1, { tokens: [5] }),
      sampled(2, { adjusts: 'yes', frequencyPenalty: 0.5 }),
      sampled(3, { temperature: 0.5, topK: 4 }),
      sampled(4, { temperature: 1, topP: 0.5, minP: 0.25 }),
      sampled(5, { temperature: 1e-6, topK: 4, topP: 0.5, minP: 0.5 }),
    ];
    const { plan, records: all } = records(items);
    const { adjusts, filters, starts } = SAMPLER_FLAGS;
    expect(all.map((record) => record.word('flags'))).toEqual([0, starts, adjusts, filters, filters, 0]);
    expect(plan).toMatchObject({ samplers: 6, adjusting: 1, filtering: 2, topK: 1, topP: 1 });
    expect(all[3]!.number('inverseTemperature')).toBe(2);
    expect(all[5]!.number('inverseTemperature')).toBe(0);
    expect(all[4]!.number('depth')).toBeCloseTo(Math.log(4), 6);
    expect(all[3]!.number('depth')).toBe(1000);
    expect(all[2]!.number('frequencyPenalty')).toBe(0.5);
    expect(plan.words[HEADER.samplers]).toBe(6);
  });

  test('hold only numbers with which a kernel stays finite', () => {
    const extreme = {
      temperature: 1e300,
      repetitionPenalty: 1e300,
      presencePenalty: -1e300,
      frequencyPenalty: 1e39,
      minP: 5e-324,
      topK: 2 ** 40,
    };
    const { records: all } = records([sampled(0, extreme), sampled(1, { ...extreme, repetitionPenalty: 1e-300, temperature: 1e-5 })]);
    expect(all[0]!.number('inverseTemperature')).toBeCloseTo(1e-6, 12);
    expect(all[1]!.number('inverseTemperature')).toBeLessThan(1.01e5);
    for (const record of all) {
      for (const name of ['repetitionPenalty', 'presencePenalty', 'frequencyPenalty', 'depth'] as const) {
        expect(Math.abs(record.number(name))).toBeLessThan(1.01e20);
      }
      expect(record.number('repetitionPenalty')).toBeGreaterThan(0);
      expect(record.word('topK')).toBe(0xffffffff);
    }
  });

  test('share an end list that is the same; a long one is cut', () => {
    const shared = [2, 9];
    const long = Array.from({ length: 20 }, (_, i) => 100 + i);
    const items = [shared, long, shared, [7]].map((endTokens, slot) => sampled(slot, { endTokens }));
    const { records: all } = records(items);
    expect(all.map((record) => record.ends)).toEqual([shared, long.slice(0, MAX_END_TOKENS), shared, [7]]);
    expect(all[2]!.endsAt).toBe(all[0]!.endsAt);
    const room = records(Array.from({ length: 8 }, (_, slot) => sampled(slot, { endTokens: [...long] })));
    expect(room.records.every((record) => record.endsAt + record.ends.length <= LAYOUT.words)).toBe(true);
  });

  test('are refused beyond the samplers of the layout', () => {
    expect(() => createPlanner(LAYOUT)(Array.from({ length: 9 }, (_, slot) => decode(slot)))).toThrow(RangeError);
  });
});

describe('parts', () => {
  const parts = (count: number, first: number) => Array.from({ length: count }, (_, i) => ({ slot: first + i, scale: 1, rank4: 8 }));

  test('of every row, as many as a row may have, have room and places of their own', () => {
    const items = Array.from({ length: 16 }, (_, slot) =>
      decode(slot, { parts: parts(MAX_PARTS, 1 + slot * MAX_PARTS), sampler: undefined }),
    );
    const plan = createPlanner(LAYOUT)(items);
    expect(plan).toMatchObject({ segments: 16, vRows: 16 * MAX_PARTS });
    const seen = new Set<number>();
    for (let i = 0; i < 16; i++) {
      const [, rows, first, count, vRow] = plan.words.subarray(LAYOUT.segmentsAt + i * SEGMENT_WORDS);
      expect([rows, count, vRow]).toEqual([1, MAX_PARTS, i * MAX_PARTS]);
      for (let p = 0; p < count!; p++) seen.add(plan.words[LAYOUT.partsAt + (first! + p) * 2]!);
    }
    expect(seen.size).toBe(16 * MAX_PARTS);
    expect(LAYOUT.logitRowsAt - LAYOUT.partsAt).toBe(16 * MAX_PARTS * 2);
  });

  test('beyond that are refused', () => {
    expect(() => createPlanner(LAYOUT)([decode(0, { parts: parts(MAX_PARTS + 1, 1) })])).toThrow(RangeError);
  });

  test('that few rows share are cut by the row where segments of one row cost less', () => {
    const [a] = parts(1, 1);
    const rows = (count: number, slot: number) =>
      decode(slot, { tokens: Array.from({ length: count }, () => 1), count, parts: [{ ...a!, slot: 1 + slot }] });
    const plan = (items: readonly StepItem[], fullRows?: number) => {
      const { segments, segmentRows, vRows, words } = createPlanner(LAYOUT, fullRows)(items);
      const starts = Array.from({ length: segments }, (_, i) => words[LAYOUT.segmentsAt + i * SEGMENT_WORDS]);
      return { segmentRows, vRows, starts };
    };
    const few = [rows(1, 0), rows(2, 1), rows(1, 2)];
    expect(plan(few)).toEqual({ segmentRows: 2, vRows: 4, starts: [0, 1, 3] });
    expect(plan(few, 1.7)).toEqual({ segmentRows: 1, vRows: 4, starts: [0, 1, 2, 3] });
    const many = [rows(1, 0), rows(5, 1)];
    expect(plan(many, 1.7)).toEqual({ segmentRows: 4, vRows: 6, starts: [0, 1, 5] });
  });

  test('in another order, or with another scale, are another segment', () => {
    const [a, b] = parts(2, 1) as [StepItem['parts'][number], StepItem['parts'][number]];
    const lists = [[a, b], [b, a], [a, { ...b, scale: -1 }], [a, b], [a]];
    const plan = createPlanner(LAYOUT)(lists.map((list, slot) => decode(slot, { parts: list })));
    expect(plan.segments).toBe(4);
  });
});
