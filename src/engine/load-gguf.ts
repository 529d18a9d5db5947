import { WebLoraError } from '../errors.ts';
import { fileLocation, type Folder } from '../formats/folder.ts';
import { openGguf, type GgufFile } from '../formats/gguf.ts';
import { floatBytes, isFloatDtype, toF32 } from '../formats/half.ts';
import { parseModelConfig } from '../model/config.ts';
import { configOfGguf } from '../model/gguf-config.ts';
import { withRopeFactors } from '../model/gguf-config-rope.ts';
import type { GgufArchitecture } from '../model/gguf-config-tensors.ts';
import { generationOfGguf } from '../model/gguf-generation.ts';
import { ggufTensors } from '../model/gguf-tensors.ts';
import type { ModelTensors } from '../model/tensors.ts';
import { tokenizerConfigOfGguf, tokenizerOfGguf } from '../text/gguf-tokenizer.ts';
import type { ModelFiles, TextFiles } from './model-files.ts';
import type { EngineOptions } from './types.ts';

/**
 * Reads the headers of a GGUF file, or of all parts of one that was split, which `file` is one of: config, tokenizer and chat template are
 * in its metadata.
 * @throws WebLoraError what reading and parsing throw; `request_invalid` for `quantize` where nothing is left to round.
 */
export async function readGgufModel(
  folder: Folder,
  file: string,
  { tokenizer, quantize }: Pick<EngineOptions, 'tokenizer' | 'quantize'>,
): Promise<ModelFiles> {
  const gguf = await openGguf(folder, file);
  const { metadata, location } = gguf;
  const json = await withRopeFactors(
    configOfGguf(metadata, gguf.tensors.keys(), location),
    (name, most) => readFactors(gguf, name, most),
    location,
  );
  const parsed = parseModelConfig(json, location);
  // what transformers adds to Gemma's norms as it computes, the file's weights have already
  const config = { ...parsed, normOffset: 0 };
  const tensors = ggufTensors(gguf, metadata.get('general.architecture') as GgufArchitecture, config);
  if (quantize) requireFloats(tensors, quantize);
  return {
    config,
    tensors,
    generation: generationOfGguf(metadata, location),
    text: textOf(gguf, tokenizer ? 'given' : 'own'),
    location: fileLocation(folder, file),
    name: nameOf(file),
  };
}

/** A tensor's factors; of one that has more than `most` only so many and one more, however large it is. */
async function readFactors(gguf: GgufFile, name: string, most: number): Promise<Float32Array> {
  const tensor = gguf.tensors.get(name)!;
  if (!isFloatDtype(tensor.type)) {
    throw new WebLoraError('tensor_dtype', `${tensor.file}: ${name} is ${tensor.type}; rope's factors may be F32, F16 or BF16`);
  }
  return toF32(await gguf.read(tensor, 0, Math.min(tensor.byteLength, (most + 1) * floatBytes(tensor.type))), tensor.type);
}

/** Rounding what was rounded already would lose twice, and leaving it silently would not be what was asked for. */
function requireFloats({ location, tensors }: ModelTensors, quantize: string): void {
  const matrices = [...tensors.values()].filter(({ shape }) => shape.length === 2);
  if (matrices.some(({ dtype }) => isFloatDtype(dtype))) return;
  const types = [...new Set(matrices.map(({ dtype }) => dtype))].join(', ');
  const message = `quantize is ${quantize}, but all weights of ${location} are quantised already (${types}); leave quantize out, or load a file of F16`;
  throw new WebLoraError('request_invalid', message, { param: 'quantize' });
}

function textOf({ metadata, location }: GgufFile, tokenizer: 'given' | 'own'): TextFiles {
  const kind = metadata.get('tokenizer.ggml.model') ?? 'none';
  if (kind === 'none' || kind === 'no_vocab') return { tokenizerJson: undefined, tokenizerConfig: undefined, jinja: undefined, location };
  if (tokenizer === 'given') {
    return { tokenizerJson: undefined, tokenizerConfig: tokenizerConfigOfGguf(metadata, location), jinja: undefined, location };
  }
  const { tokenizerJson, tokenizerConfig } = tokenizerOfGguf(metadata, location);
  return { tokenizerJson: async () => tokenizerJson, tokenizerConfig, jinja: undefined, location };
}

/** The file's name without what all such names end in. */
function nameOf(file: string): string {
  return file
    .split('/')
    .at(-1)!
    .replace(/(-\d{5}-of-\d{5})?\.gguf$/i, '');
}
