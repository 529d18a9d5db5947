import { expect, test } from 'vitest';
import { describeNull } from '../device.ts';
import { openDirectModel } from '../suites/direct-model.ts';
import { readFiles } from '../mutations/subjects.ts';

await describeNull('texts longer than the pool', (gpu) => {
  test('take tables of rope of an eighth of the pool at most, whatever length a config has', async () => {
    const folder = new URL('../fixtures/arch/llama/base', import.meta.url).pathname;
    const files = readFiles(folder);
    const config = { ...JSON.parse(new TextDecoder().decode(files['config.json']!)), model_type: 'mistral', sliding_window: 24 };
    const length = 1 << 20;
    const text = JSON.stringify({ ...config, architectures: ['MistralForCausalLM'], max_position_embeddings: length });
    const model = { ...files, 'config.json': new TextEncoder().encode(text) };
    const poolBytes = 1 << 20;
    await using direct = await openDirectModel(gpu, model, { precision: 'exact', sequences: 2, batchRows: 8, poolBytes });
    const tables = direct.model.config.ropes.reduce((sum, { dimensions }) => sum + dimensions * 4 * direct.model.contextLength, 0);
    expect(tables).toBeLessThanOrEqual(poolBytes / 8);
    expect(direct.model.contextLength).toBeGreaterThan(512);
  });
});
