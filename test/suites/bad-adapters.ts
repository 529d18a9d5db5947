import { field, formatCases, header, rename, tensors, valueCases, type Bad } from './bad-file-changes.ts';

const A = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight';
const LAST = 'layers.1.mlp.down_proj.lora_B';

/** Adapter folders that are refused: changes of `r8-all`. */
export const ADAPTER_CASES: readonly Bad[] = [
  ...formatCases('adapter_model.safetensors', 'I16'),
  ...valueCases('adapter_model.safetensors', LAST),
  {
    name: 'NaN in the JSON',
    code: 'file_invalid',
    says: ['adapter_config.json', 'NaN'],
    spoil: field('adapter_config.json', 'lora_alpha', 'NaN'),
  },
  {
    name: 'infinity in the JSON',
    code: 'file_invalid',
    says: ['adapter_config.json', 'Infinity'],
    spoil: field('adapter_config.json', 'lora_alpha', 'Infinity'),
  },
  {
    name: '1e999 in the JSON',
    code: 'file_invalid',
    says: ['adapter_config.json', 'lora_alpha'],
    spoil: field('adapter_config.json', 'lora_alpha', '1e999'),
  },
  {
    name: 'a wrong shape',
    code: 'tensor_shape',
    says: ['adapter_model.safetensors', A, '512'],
    spoil: header((entries) => void (entries[A]!.shape = [512])),
  },
  {
    name: 'widths of another base',
    code: 'tensor_shape',
    says: ['adapter_model.safetensors', 'k_proj.lora_B', /32, ?8|8, ?32|64, ?8/],
    spoil: tensors((all) =>
      all.map((tensor) => (tensor.name.includes('k_proj.lora_B') ? { ...tensor, shape: [64, 8], bytes: new Uint8Array(1024) } : tensor)),
    ),
  },
  {
    name: 'rank 0 in the config',
    code: 'adapter_rank',
    says: ['adapter_config.json', 'r is 0'],
    spoil: field('adapter_config.json', 'r', '0'),
  },
  {
    name: 'rank 0 in a tensor',
    code: 'adapter_rank',
    says: ['adapter_model.safetensors', 'layers.0.self_attn.q_proj', 'rank 0'],
    spoil: tensors((all) =>
      all.map((tensor) => {
        if (!tensor.name.includes('layers.0.self_attn.q_proj')) return tensor;
        return { ...tensor, shape: tensor.name === A ? [0, 64] : [64, 0], bytes: new Uint8Array(0) };
      }),
    ),
  },
  {
    name: 'a rank that contradicts the config',
    code: 'adapter_rank',
    says: ['adapter_model.safetensors', 'rank 8', '16'],
    spoil: field('adapter_config.json', 'r', '16'),
  },
  {
    name: 'A and B of different ranks',
    code: 'adapter_rank',
    says: ['adapter_model.safetensors', A, /4, ?64/],
    spoil: tensors((all) =>
      all.map((tensor) => (tensor.name === A ? { ...tensor, shape: [4, 64], bytes: tensor.bytes.slice(0, 512) } : tensor)),
    ),
  },
  {
    name: 'tensors that match nothing',
    code: 'adapter_target',
    says: ['adapter_model.safetensors', 'transformer.h.0'],
    spoil: rename('model.model.layers', 'model.transformer.h'),
  },
  {
    name: 'tensors that match in part: a layer too many',
    code: 'adapter_target',
    says: ['adapter_model.safetensors', 'layers.7.mlp', /2 layers/],
    spoil: rename('layers.1.mlp', 'layers.7.mlp'),
  },
  {
    name: 'tensors that match in part: A without B',
    code: 'adapter_target',
    says: ['adapter_model.safetensors', 'layers.0.self_attn.v_proj', 'lora_B'],
    spoil: tensors((all) => all.filter(({ name }) => !name.includes('layers.0.self_attn.v_proj.lora_B'))),
  },
  {
    name: 'tensors that match in part: a target without any',
    code: 'adapter_target',
    says: ['adapter_model.safetensors', 'o_proj'],
    spoil: tensors((all) => all.filter(({ name }) => !name.includes('o_proj'))),
  },
  { name: 'no tensor at all', code: 'adapter_target', says: ['adapter_model.safetensors'], spoil: tensors(() => []) },
  {
    name: 'another PEFT type',
    code: 'adapter_type',
    says: ['adapter_config.json', 'IA3'],
    spoil: field('adapter_config.json', 'peft_type', '"IA3"'),
  },
  {
    name: 'adapter_model.bin only',
    code: 'adapter_format',
    says: ['adapter_model.bin', /pickle/],
    spoil: (files) => {
      delete files['adapter_model.safetensors'];
      files['adapter_model.bin'] = new Uint8Array([0x80, 2, 0x7d, 0x2e]);
    },
  },
  {
    name: 'no weights',
    code: 'file_missing',
    says: ['adapter_model.safetensors'],
    spoil: (files) => void delete files['adapter_model.safetensors'],
  },
  { name: 'no config', code: 'file_missing', says: ['adapter_config.json'], spoil: (files) => void delete files['adapter_config.json'] },
  {
    name: 'a setting that changes the mathematics',
    code: 'adapter_setting',
    says: ['adapter_config.json', 'fan_in_fan_out'],
    spoil: field('adapter_config.json', 'fan_in_fan_out', 'true'),
  },
  {
    name: 'DoRA without magnitudes',
    code: 'adapter_target',
    says: ['adapter_model.safetensors', 'lora_magnitude_vector', 'use_dora'],
    spoil: field('adapter_config.json', 'use_dora', 'true'),
  },
];
