import { describe, expect, test } from 'vitest';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import { textName } from '../../src/formats/text-names.ts';
import { textTensors } from '../../src/model/text-tensors.ts';
import { memoryFolder, safetensors, tensor } from './files.ts';

describe('the language model of a model that sees pictures', () => {
  test.each([
    ['language_model.model.layers.0.mlp.up_proj.weight', 'model.layers.0.mlp.up_proj.weight'],
    ['language_model.lm_head.weight', 'lm_head.weight'],
    ['model.language_model.embed_tokens.weight', 'model.embed_tokens.weight'],
    ['model.layers.0.mlp.up_proj.weight', 'model.layers.0.mlp.up_proj.weight'],
    ['model.vision_tower.encoder.layers.0.weight', 'model.vision_tower.encoder.layers.0.weight'],
  ])('%s is %s', (name, text) => {
    expect(textName(name)).toBe(text);
  });

  test('is read under the names of one that does not', async () => {
    const file = safetensors([tensor('language_model.model.norm.weight', [2], (i) => i + 1), tensor('vision_tower.x', [2], () => 0)]);
    const files = await openSafetensors(memoryFolder({ 'model.safetensors': file }), 'model');
    const text = textTensors(files);
    expect([...text.tensors.keys()]).toEqual(['model.norm.weight', 'vision_tower.x']);
    const found = text.tensors.get('model.norm.weight')!;
    expect(new Float32Array((await text.read(found)).buffer)).toEqual(new Float32Array([1, 2]));
    expect(text.fileName!('model.norm.weight')).toBe('language_model.model.norm.weight');
  });

  test('others are as they were', async () => {
    const file = safetensors([tensor('model.norm.weight', [2], (i) => i + 1)]);
    const files = await openSafetensors(memoryFolder({ 'model.safetensors': file }), 'model');
    expect(textTensors(files)).toBe(files);
  });
});
