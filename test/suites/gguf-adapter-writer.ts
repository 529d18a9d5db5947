import { readJson, type Folder } from '../../src/formats/folder.ts';
import { isFloatDtype, toF32 } from '../../src/formats/half.ts';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import { ggufTensorNames, permutedRows } from '../../src/model/gguf-config-tensors.ts';
import { count, ggufBytes, text, type GgufPart } from '../unit/gguf-files.ts';
import { f32Entry, settingsOf, type ConfigJson } from './gguf-model-metadata.ts';
import { f32Tensor, ggufPart, orderedRows, type ModelTensor } from './gguf-model-writer.ts';

/** A PEFT adapter's file. */
interface AdapterToWrite {
  readonly config: ConfigJson;
  readonly tensors: ReadonlyMap<string, ModelTensor>;
}

async function readPeft(folder: Folder): Promise<AdapterToWrite> {
  const files = await openSafetensors(folder, 'adapter_model');
  const tensors = new Map<string, ModelTensor>();
  for (const [name, info] of files.tensors) {
    if (!isFloatDtype(info.dtype)) throw new Error(`${name} is ${info.dtype}`);
    tensors.set(name, f32Tensor(info.shape, toF32(await files.read(info), info.dtype)));
  }
  return { config: (await readJson(folder, 'adapter_config.json')) as ConfigJson, tensors };
}

/**
 * A PEFT adapter as llama.cpp's convert_lora_to_gguf.py writes it in F32: `NAME.lora_a` and `NAME.lora_b` under the base's names, the B
 * rows of q and k permuted for `llama`, alpha in the metadata. It has no place for rsLoRA, patterns and whatever else is no pair of A and B:
 * those throw.
 *
 * @param base config.json of the model that it belongs to.
 */
export async function ggufOfAdapter(folder: Folder, base: ConfigJson): Promise<Uint8Array<ArrayBuffer>> {
  const { config, tensors } = await readPeft(folder);
  for (const key of ['use_rslora', 'use_dora', 'rank_pattern', 'alpha_pattern', 'modules_to_save']) {
    const value = config[key];
    const isSet = typeof value === 'object' ? value !== null && Object.keys(value).length > 0 : value === true;
    if (isSet) throw new Error(`A GGUF LoRA cannot say ${key} = ${JSON.stringify(value)}`);
  }
  const settings = settingsOf(base);
  const { architecture, layers } = settings;
  const parts: GgufPart[] = [];
  const put = (name: string, gguf: string, heads: number | undefined): void => {
    const module = `base_model.model.${name.replace(/\.weight$/, '')}`;
    const a = tensors.get(`${module}.lora_A.weight`);
    const b = tensors.get(`${module}.lora_B.weight`);
    if (!a || !b) return;
    parts.push(ggufPart(`${gguf}.lora_a`, a));
    parts.push(ggufPart(`${gguf}.lora_b`, heads === undefined ? b : orderedRows(b, permutedRows(heads, settings.headDim))));
  };
  const headsOf = { num_attention_heads: settings.heads, num_key_value_heads: settings.kvHeads };
  for (let layer = 0; layer < layers; layer++) {
    for (const { name, gguf, permuted } of ggufTensorNames(architecture)) {
      if (!name.includes('{layer}')) continue;
      put(name.replace('{layer}', String(layer)), gguf.replace('{layer}', String(layer)), permuted && headsOf[permuted]);
    }
  }
  if (parts.length !== tensors.size) throw new Error(`${parts.length} of ${tensors.size} tensors have a name in ${architecture}`);
  const entries = [
    text('general.architecture', architecture),
    text('general.type', 'adapter'),
    text('adapter.type', 'lora'),
    f32Entry('adapter.lora.alpha', config['lora_alpha'] as number),
    count('general.file_type', 0),
    count('general.quantization_version', 2),
  ];
  return ggufBytes({ entries, tensors: parts });
}
