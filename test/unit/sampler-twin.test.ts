import { describe, expect, test } from 'vitest';
import { SAMPLERS, samplerCase, samplerTwins } from '../../src/engine/kernel-cases-sampler.ts';
import { POISONED } from '../../src/kernels/step-layout.ts';
import { sample, type SampleInput } from '../reference/sample.ts';

/** How far f32 may be from the reference: of thresholds, and in scores. Equal logits stay equal. */
const SLACK = 1e-3;

/** The same as the plain-loop reference of the tests takes it. */
const inputs = samplerTwins().map(({ settings, logits, position, seen }): SampleInput => {
  const { temperature, seed, ...options } = settings;
  const generated = seen?.times.flatMap((times, token) => new Array<number>(times).fill(token)) ?? [];
  return {
    ...options,
    logits,
    position,
    seed: [seed, 0],
    inverseTemperature: temperature === 0 ? 0 : 1 / temperature,
    ...(seen && { seen: { prompt: [], generated, bias: { ...seen.bias } } }),
  };
});

describe('the case that samplers are checked with', () => {
  test('expects what the plain-loop reference takes', () => {
    expect([...samplerCase().expected()]).toEqual(inputs.map((input) => sample(input)?.token ?? POISONED));
  });

  test('is decided, whatever the rounding', () => {
    for (const input of inputs.slice(0, -1)) {
      const { topP = 1, minP = 0 } = input;
      const taken = [1 - SLACK, 1 + SLACK].map((factor) => sample({ ...input, topP: topP < 1 ? topP * factor : 1, minP: minP * factor })!);
      expect(taken[0]!.token).toBe(taken[1]!.token);
      // greedy: ties go to the lowest id
      if (input.inverseTemperature > 0) expect(Math.min(...taken.map(({ margin }) => margin))).toBeGreaterThan(SLACK);
    }
  });

  test('notices filters that do nothing, and those that stop early', () => {
    const others = inputs.slice(0, -1).map((input) => sample({ ...input, topK: 0, topP: 1, minP: 0 })!.token);
    const expected = [...samplerCase().expected()];
    const filtering = SAMPLERS.slice(0, -1).flatMap(({ topK, topP, minP }, i) => (topK > 0 || topP < 1 || minP > 0 ? [i] : []));
    for (const i of filtering) expect(others[i]).not.toBe(expected[i]);
    expect(new Set(expected).size).toBe(expected.length);
  });
});
