import { describe, expect, test } from 'vitest';
import { tokenLogprob } from '../../src/engine/logprobs.ts';
import { WebLoraError } from '../../src/errors.ts';

function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The definition, by sorting everything. */
function plainLogprob(logits: Float32Array, token: number, top: number): ReturnType<typeof tokenLogprob> {
  const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  const best = logits[order[0]!]!;
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - best), 0);
  const logprob = (id: number): number => Math.fround(logits[id]! - best - Math.log(sum));
  const listed = top === -1 ? order : order.slice(0, top);
  return {
    token,
    logprob: logprob(token),
    rank: order.indexOf(token) + 1,
    topTokens: Uint32Array.from(listed),
    topLogprobs: Float32Array.from(listed, logprob),
  };
}

describe('tokenLogprob', () => {
  test('known values', () => {
    const one = tokenLogprob(Float32Array.of(Math.log(1), Math.log(2), Math.log(5)), 1, 2);
    expect(one.logprob).toBeCloseTo(Math.log(0.25), 6);
    expect(one.rank).toBe(2);
    expect([...one.topTokens]).toEqual([2, 1]);
    expect(one.topLogprobs[0]).toBeCloseTo(Math.log(0.625), 6);
  });

  test('agrees with the definition for any top, ties and both zeros included', () => {
    const random = createRandom(7);
    for (let round = 0; round < 300; round++) {
      const vocabulary = 1 + Math.floor(random() * 200);
      const grid = round % 2 === 0 ? 4 : 1e6; // few distinct values: many ties
      const padded = new Float32Array(vocabulary + 1);
      for (let id = 0; id <= vocabulary; id++) padded[id] = (Math.round((random() - 0.5) * grid) / grid) * 30;
      const logits = padded.subarray(1); // a view that does not start with its buffer
      const token = Math.floor(random() * vocabulary);
      for (const top of [0, 1, 5, vocabulary >> 3, vocabulary, vocabulary + 9, -1]) {
        expect(tokenLogprob(logits, token, top)).toEqual(plainLogprob(logits, token, top));
      }
    }
    expect([...tokenLogprob(Float32Array.of(-0, 0, -1, -0), 3, 4).topTokens]).toEqual([0, 1, 3, 2]);
    expect(tokenLogprob(Float32Array.of(-0, 0, -1, -0), 3, 0).rank).toBe(3);
  });

  test('keeps double precision until the end', () => {
    const logits = new Float32Array(100_000).fill(-8);
    logits[5] = 8;
    expect(tokenLogprob(logits, 5, 1).logprob).toBe(Math.fround(-Math.log(1 + 99_999 * Math.exp(-16))));
    const large = tokenLogprob(Float32Array.of(3e38, -3e38), 0, 2);
    expect([...large.topLogprobs]).toEqual([0, -Infinity]);
  });

  test('refuses what is not finite, and nonsense', () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const act = (): unknown => tokenLogprob(Float32Array.of(1, bad, 2), 0, 1);
      expect(act).toThrow(WebLoraError);
      expect(act).toThrow(expect.objectContaining({ code: 'not_finite' }));
    }
    const logits = Float32Array.of(1, 2);
    for (const token of [-1, 2, 0.5]) expect(() => tokenLogprob(logits, token, 1)).toThrow(RangeError);
    for (const top of [-2, 0.5, Number.NaN]) expect(() => tokenLogprob(logits, 0, top)).toThrow(RangeError);
  });
});
