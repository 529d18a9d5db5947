import type { Folder } from '../../src/formats/folder.ts';
import { isFloatDtype, toF32 } from '../../src/formats/half.ts';
import { openSafetensors, type TensorInfo } from '../../src/formats/safetensors.ts';
import type { Checkpoint } from '../reference/llama.ts';

/** A PEFT folder and the factor on its deltas. */
export interface SummedPart {
  readonly adapter: Folder;
  readonly scale: number;
}

interface PeftConfig {
  readonly lora_alpha: number;
  readonly alpha_pattern: Readonly<Record<string, number>>;
  readonly use_rslora: boolean;
}

/** One matrix in double precision, row by row. */
interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: ArrayLike<number>;
}

const PREFIX = 'base_model.model.';

async function config(adapter: Folder): Promise<PeftConfig> {
  const name = 'adapter_config.json';
  return JSON.parse(new TextDecoder().decode(await adapter.read(name, 0, (await adapter.size(name))!))) as PeftConfig;
}

/** PEFT's factor on B·A of a module: `alpha / r`, or `alpha / √r`; a pattern's key is the end of the module's name. */
function factor({ lora_alpha: alpha, alpha_pattern: pattern, use_rslora: stabilized }: PeftConfig, module: string, rank: number): number {
  const key = Object.keys(pattern).find((end) => module === end || module.endsWith(`.${end}`));
  return (key === undefined ? alpha : pattern[key]!) / (stabilized ? Math.sqrt(rank) : rank);
}

/** Calls `each` with every module's name, A, B and factor. */
async function eachPair(adapter: Folder, each: (module: string, a: Matrix, b: Matrix, factor: number) => void): Promise<void> {
  const files = await openSafetensors(adapter, 'adapter_model');
  const peft = await config(adapter);
  const matrix = async (info: TensorInfo): Promise<Matrix> => {
    if (!isFloatDtype(info.dtype)) throw new Error(`${info.name} is ${info.dtype}`);
    const [rows, columns] = info.shape as [number, number];
    return { rows, columns, values: toF32(await files.read(info), info.dtype) };
  };
  for (const [name, info] of files.tensors) {
    if (!name.endsWith('.lora_A.weight')) continue;
    const module = name.slice(PREFIX.length, -'.lora_A.weight'.length);
    const a = await matrix(info);
    const b = await matrix(files.tensors.get(name.replace('.lora_A.', '.lora_B.'))!);
    each(module, a, b, factor(peft, module, a.rows));
  }
}

/** Adds `scale` · B·A to a weight of as many rows as B and as many columns as A. */
function addProduct(weight: Float64Array, a: Matrix, b: Matrix, scale: number): void {
  for (let row = 0; row < b.rows; row++) {
    for (let column = 0; column < a.columns; column++) {
      let sum = 0;
      for (let r = 0; r < a.rows; r++) sum += b.values[row * a.rows + r]! * a.values[r * a.columns + column]!;
      weight[row * a.columns + column]! += scale * sum;
    }
  }
}

/** A float32 checkpoint's tensors as doubles, with the deltas of these adapters added to its linear weights. */
export async function summedBase(base: Folder, parts: readonly SummedPart[]): Promise<Checkpoint> {
  const files = await openSafetensors(base, 'model');
  const tensors = new Map<string, Float64Array>();
  for (const [name, info] of files.tensors) {
    if (info.dtype !== 'F32') throw new Error(`${name} is ${info.dtype}`);
    tensors.set(name, Float64Array.from(toF32(await files.read(info), info.dtype)));
  }
  for (const { adapter, scale } of parts) {
    await eachPair(adapter, (module, a, b, own) => addProduct(tensors.get(`${module}.weight`)!, a, b, scale * own));
  }
  return tensors;
}
