import { describe, expect, test } from 'vitest';
import { parseModelConfig, ropeFrequencies, windowOf, type ModelConfig } from '../../src/model/config.ts';
import { withRopeFactors } from '../../src/model/gguf-config-rope.ts';
import { ggufArchitectures } from '../../src/model/gguf-config-tensors.ts';
import { ropeFrequencies as plain } from '../suites/llama-config.ts';
import { config, type Settings } from './gguf-config-data.ts';

const parse = (json: Settings): ModelConfig => parseModelConfig(json, 'a.gguf');
/** A Gemma has no head of its own. */
const tensors = (architecture: string): readonly string[] => (architecture.startsWith('gemma') ? [] : ['output.weight']);
const scaled = (by: readonly number[], dimensions = 16): number[] =>
  plain(50_000, dimensions).map((frequency, pair) => frequency / by[pair]!);

describe('a GGUF’s config is a model’s', () => {
  test.each(ggufArchitectures)('%s', (architecture) => {
    const model = parse(config(architecture, {}, tensors(architecture)));
    expect(model).toMatchObject({ hiddenSize: 64, layers: 2, heads: 4, kvHeads: 2, headDim: 16, vocabSize: 300, contextLength: 8192 });
    expect(model.ropes[model.layerKinds.at(-1)!.rope]!.frequencies).toEqual(plain(50_000, 16));
    expect([model.bosToken, model.endTokens, model.tiedEmbeddings]).toEqual([undefined, [], architecture.startsWith('gemma')]);
  });

  test('what makes the families: biases, norms, fused weights, caps, activation', () => {
    expect(parse(config('qwen2')).biases).toEqual({ qkv: true, o: false, mlp: false });
    expect(parse(config('qwen3'))).toMatchObject({ queryKeyNorm: 'each head', biases: { qkv: false, o: false, mlp: false } });
    expect(parse(config('phi3')).fused).toBe(true);
    expect(parse(config('gemma2', {}, []))).toMatchObject({ norms: 'around', attentionCap: 50, logitCap: 30, activation: 'gelu-tanh' });
    expect(parse(config('gemma3'))).toMatchObject({ norms: 'around', attentionCap: 0, logitCap: 0, queryKeyNorm: 'each head' });
    const biases = ['q', 'k', 'v', 'output'].flatMap((name) => [0, 1].map((layer) => `blk.${layer}.attn_${name}.bias`));
    expect(parse(config('llama', {}, biases)).biases).toEqual({ qkv: true, o: true, mlp: false });
  });

  test('windows', () => {
    expect(windowOf(parse(config('llama', { 'attention.sliding_window': 24 })))).toBe(24);
    expect(windowOf(parse(config('phi3', { 'attention.sliding_window': 2047 })))).toBe(2047);
    expect(parse(config('gemma2', {}, [])).layerKinds).toEqual([4096, Infinity].map((window) => ({ window, rope: 0 })));
    const gemma3 = parse(config('gemma3', { 'attention.sliding_window': 512, 'attention.sliding_window_pattern': 2 }));
    expect(gemma3.layerKinds.map(({ window }) => window)).toEqual([512, Infinity]);
    expect(gemma3.ropes[gemma3.layerKinds[0]!.rope]!.frequencies).toEqual(plain(10_000, 16));
    // shorter than its window: no layer sees less than all, the local rope stays
    const short = parse(config('gemma3', { context_length: 256, 'attention.sliding_window': 512 }));
    expect([windowOf(short), short.ropes.map(({ frequencies }) => frequencies)]).toEqual([Infinity, [plain(10_000, 16)]]);
  });

  test('Llama 3’s factors, for texts of every length', async () => {
    const factors = [1, 1, 1, 2, 4, 8, 8, 8];
    const named = config('llama', {}, ['rope_freqs.weight']);
    const { ropes } = parse(await withRopeFactors(named, () => Promise.resolve(factors), 'a.gguf'));
    expect(ropes[0]).toMatchObject({ dimensions: 16, factor: 1, frequencies: scaled(factors) });
    expect(ropeFrequencies(ropes[0]!, 8192)).toEqual(scaled(factors));
  });

  test('LongRoPE, with and without its attention factor, and rotary dimensions that no fraction hits', async () => {
    const factors = ['rope_factors_long.weight', 'rope_factors_short.weight'];
    const [long, short] = [
      [8, 7, 6, 5, 4, 3],
      [1, 1, 1, 1, 1, 2],
    ] as const;
    const read = (name: string): Promise<readonly number[]> => Promise.resolve(name.includes('long') ? long : short);
    const settings = { 'rope.dimension_count': 12, 'rope.scaling.original_context_length': 1024 };
    const { ropes } = parse(await withRopeFactors(config('phi3', settings, factors), read, 'a.gguf'));
    expect(ropeFrequencies(ropes[0]!, 1024)).toEqual(scaled(short, 12));
    expect(ropeFrequencies(ropes[0]!, 1025)).toEqual(scaled(long, 12));
    expect(ropes[0]!.factor).toBe(Math.sqrt(1 + Math.log(8) / Math.log(1024)));
    const said = config('phi3', { ...settings, 'rope.scaling.attn_factor': 1.25 }, factors);
    expect(parse(await withRopeFactors(said, read, 'a.gguf')).ropes[0]!.factor).toBe(1.25);
    // 104 * (30 / 104) is 29.999999999999996
    const heads = { embedding_length: 416, 'rope.dimension_count': 30 };
    expect(parse(config('phi3', heads)).ropes[0]!.dimensions).toBe(30);
  });
});
