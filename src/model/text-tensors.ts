import { textName } from '../formats/text-names.ts';
import type { ModelTensors } from './tensors.ts';

/** The tensors under the names of a model that is nothing but a language model; the same object where they have them. */
export function textTensors(files: ModelTensors): ModelTensors {
  const names = [...files.tensors.keys()];
  if (names.every((name) => textName(name) === name)) return files;
  return {
    ...files,
    tensors: new Map([...files.tensors].map(([name, tensor]) => [textName(name), tensor])),
    fileName: (asked) => names.find((name) => textName(name) === asked) ?? asked,
  };
}
