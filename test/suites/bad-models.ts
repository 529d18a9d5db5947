import { field, formatCases, header, rename, valueCases, type Bad } from './bad-file-changes.ts';

/** Model folders that are refused. */
export const MODEL_CASES: readonly Bad[] = [
  ...formatCases('model.safetensors', 'I32'),
  ...valueCases('model.safetensors', 'layers.1.mlp.down_proj'),
  {
    name: 'NaN in the JSON',
    code: 'file_invalid',
    says: ['config.json', 'NaN', 'line 1'],
    spoil: field('config.json', 'rms_norm_eps', 'NaN'),
  },
  {
    name: 'infinity in the JSON',
    code: 'file_invalid',
    says: ['config.json', 'Infinity'],
    spoil: field('config.json', 'rope_theta', '-Infinity'),
  },
  {
    name: '1e999 in the JSON',
    code: 'file_invalid',
    says: ['config.json', 'rms_norm_eps'],
    spoil: field('config.json', 'rms_norm_eps', '1e999'),
  },
  {
    name: 'NaN in generation_config.json',
    code: 'file_invalid',
    says: ['generation_config.json', 'NaN'],
    spoil: field('generation_config.json', 'temperature', 'NaN'),
  },
  {
    name: 'a wrong shape',
    code: 'tensor_shape',
    says: ['model.safetensors', 'layers.1.self_attn.k_proj', /64, ?32/, /32, ?64/],
    spoil: header((entries) => entries['model.layers.1.self_attn.k_proj.weight']!.shape.reverse()),
  },
  {
    name: 'sizes in the config that no tensor has',
    code: 'tensor_shape',
    says: ['model.safetensors', 'embed_tokens', '8000000'],
    spoil: field('config.json', 'vocab_size', '8000000'),
  },
  {
    name: 'sizes that nobody has',
    code: 'model_unsupported',
    says: ['config.json', 'num_hidden_layers', '1000000'],
    spoil: field('config.json', 'num_hidden_layers', '1000000'),
  },
  {
    name: 'a tensor that is not there',
    code: 'tensor_missing',
    says: ['model.layers.1.mlp.up_proj.weight'],
    spoil: rename('layers.1.mlp.up_proj', 'layers.1.mlp.up_project'),
  },
  {
    name: 'another architecture',
    code: 'model_unsupported',
    says: ['config.json', 'mamba'],
    spoil: field('config.json', 'model_type', '"mamba"'),
  },
  { name: 'no weights', code: 'file_missing', says: ['model.safetensors'], spoil: (files) => void delete files['model.safetensors'] },
  { name: 'no config', code: 'file_missing', says: ['config.json'], spoil: (files) => void delete files['config.json'] },
];
