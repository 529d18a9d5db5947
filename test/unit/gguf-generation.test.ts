import { describe, expect, test } from 'vitest';
import { WebLoraError } from '../../src/errors.ts';
import { generationOfGguf } from '../../src/model/gguf-generation.ts';

const read = (values: Readonly<Record<string, unknown>>) =>
  generationOfGguf(new Map(Object.entries(values).map(([key, value]) => [`general.sampling.${key}`, value])), 'a.gguf');

describe('sampling of a GGUF file', () => {
  test('gives the defaults that generation_config.json would give', () => {
    const f32 = Math.fround;
    const { defaults, ignored, endTokens } = read({
      temp: f32(0.7),
      top_k: 20,
      top_p: f32(0.8),
      min_p: f32(0.05),
      penalty_repeat: f32(1.05),
    });
    expect(defaults).toEqual({ temperature: 0.7, topK: 20, topP: 0.8, minP: 0.05, repetitionPenalty: 1.05 });
    expect([ignored, endTokens]).toEqual([[], []]);
    expect(read({}).defaults).toEqual({});
    expect(generationOfGguf(new Map<string, unknown>([['general.samplingtemp', 2]]), 'a.gguf').defaults).toEqual({});
  });

  test('names what would change an answer and is not served', () => {
    const { ignored } = read({ sequence: 'top_k;temperature', mirostat: 2, mirostat_tau: 5, xtc_probability: 0.5, xtc_threshold: 0.25 });
    expect(ignored).toEqual(['sequence="top_k;temperature"', 'mirostat=2', 'mirostat_tau=5', 'xtc_probability=0.5', 'xtc_threshold=0.25']);
    expect(read({ penalty_repeat: 1.1, penalty_last_n: 64 }).ignored).toEqual(['penalty_last_n=64']);
    expect(read({ dry_multiplier: 0.8 }).ignored).toEqual(['dry_multiplier=0.8']);
  });

  test('is silent about what changes nothing', () => {
    const off = { mirostat: 0, mirostat_tau: 5, mirostat_eta: 0.1, xtc_probability: 0, xtc_threshold: 0.1, penalty_last_n: 64 };
    expect(read(off).ignored).toEqual([]);
    expect(read({ ...off, penalty_repeat: 1 }).ignored).toEqual([]);
    expect(read({ penalty_repeat: 1.1, penalty_last_n: -1 }).ignored).toEqual([]);
  });

  test.each([
    ['temperature', { temp: -1 }],
    ['top_k', { top_k: 0.5 }],
    ['top_p', { top_p: 'all' }],
    ['min_p', { min_p: new Float32Array(1e6) }],
  ])('%s out of its range is refused', (name, values) => {
    const failed = () => read(values);
    expect(failed).toThrow(WebLoraError);
    expect(failed).toThrow(`a.gguf: general.sampling: ${name} is`);
  });
});
