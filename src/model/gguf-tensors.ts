import type { GgufFile } from '../formats/gguf.ts';
import type { ModelConfig } from './config.ts';
import { ggufTensorNames, type GgufArchitecture, type GgufTensorName } from './gguf-config-tensors.ts';
import type { ModelTensor, ModelTensors } from './tensors.ts';

/** The tensors of a GGUF file under transformers' names. `architecture` is the file's. */
export function ggufTensors(
  file: GgufFile,
  architecture: GgufArchitecture,
  { layers, headDim }: Pick<ModelConfig, 'layers' | 'headDim'>,
): ModelTensors {
  // not the file itself: its metadata, with all its vocabulary, are not held as long as the tensors are
  const { tensors: stored, location, read } = file;
  const tensors = new Map<string, ModelTensor>();
  const fileNames = new Map<string, string>();
  const add = ({ name, gguf, permuted }: GgufTensorName): void => {
    fileNames.set(name, gguf);
    const tensor = stored.get(gguf);
    if (!tensor) return;
    const { type: dtype, shape, start, byteLength } = tensor;
    const described = { name: gguf, file: tensor.file, dtype, shape, start, end: start + byteLength };
    tensors.set(name, permuted === undefined ? described : { ...described, interleaved: headDim });
  };
  for (const each of ggufTensorNames(architecture)) {
    if (!each.name.includes('{layer}')) add(each);
    else for (let layer = 0; layer < layers; layer++) add(inLayer(each, layer));
  }
  return {
    location,
    format: 'gguf',
    fileName: (name) => fileNames.get(name) ?? name,
    tensors,
    read: async ({ name }, startByte, endByte, into) => read(stored.get(name)!, startByte, endByte, into),
  };
}

function inLayer({ name, gguf, ...rest }: GgufTensorName, layer: number): GgufTensorName {
  const put = (text: string): string => text.replace('{layer}', String(layer));
  return { name: put(name), gguf: put(gguf), ...rest };
}
