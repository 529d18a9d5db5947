import { WebLoraError } from '../errors.ts';
import type { GgufTensor } from '../formats/gguf.ts';
import { toF32 } from '../formats/half.ts';
import type { Slices } from '../slices.ts';
import { describe, list, modulesOf } from './modules.ts';
import type { Module } from './modules.ts';
import { PIECE } from './numbers.ts';
import { allRows, checkOnce, checkShape, cutPair, decoded, turned } from './parts.ts';
import type { AdapterParts, AdapterTensor, PairPart, VectorPart } from './parts.ts';
import { OUTER } from './sites.ts';
import type { SiteTable } from './sites.ts';

/** What files of a model's architecture call its tensors. */
export interface GgufNames {
  /** `general.architecture` */
  readonly architecture: string;
  readonly tensors: readonly GgufName[];
}

/** One tensor under both its names; `{layer}` stands for a layer's number, from 0. */
export interface GgufName {
  /** As transformers names it, with `.weight`. */
  readonly name: string;
  readonly gguf: string;
  /** Where its rows come in another order: the stored row `i` is the row `order[i]` of transformers'. */
  readonly order?: Uint32Array | undefined;
  /** A norm's weights as they multiply, whatever transformers adds to its own. */
  readonly norm?: 'whole' | undefined;
}

type Role = 'a' | 'b' | 'norm';

interface Found {
  readonly module: Module;
  readonly name: GgufName;
  readonly tensors: Map<Role, GgufTensor>;
}

interface Context {
  readonly table: SiteTable;
  readonly location: string;
}

/** Numbers in a block of Q8_0, and its bytes: an f16 scale, then an i8 each. */
const BLOCK = 32;
const BLOCK_BYTES = 34;

/** Q8_0 as f32: scale · integer. */
async function fromQ8(bytes: Uint8Array<ArrayBuffer>, slices: Slices): Promise<Uint8Array<ArrayBuffer>> {
  const blocks = bytes.length / BLOCK_BYTES;
  const halves = new Uint8Array(blocks * 2);
  for (let block = 0; block < blocks; block++) halves.set(bytes.subarray(block * BLOCK_BYTES, block * BLOCK_BYTES + 2), block * 2);
  const scales = toF32(halves, 'F16');
  const integers = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const out = new Float32Array(blocks * BLOCK);
  for (let block = 0; block < blocks; block++) {
    if (block % (PIECE / BLOCK) === 0) await slices.pause();
    for (let i = 0; i < BLOCK; i++) out[block * BLOCK + i] = scales[block]! * integers[block * BLOCK_BYTES + 2 + i]!;
  }
  return new Uint8Array(out.buffer);
}

/** Throws `tensor_dtype`. */
function tensorOf({ name, file, type, shape, start, byteLength }: GgufTensor, { location }: Context): AdapterTensor {
  const range = { name, file, start, end: start + byteLength, shape };
  if (type === 'F32' || type === 'F16' || type === 'BF16') return { ...range, dtype: type };
  if (type === 'Q8_0') return { ...range, dtype: 'F32', decode: fromQ8 };
  throw new WebLoraError('tensor_dtype', `${location}: ${name} is ${type}; adapters may be F32, F16, BF16 or Q8_0.`);
}

/** Rows put back where transformers has them. */
function putBack(tensor: AdapterTensor, order: Uint32Array): AdapterTensor {
  return decoded(tensor, tensor.shape, async ({ bytes }) => {
    const out = new Uint8Array(bytes.length);
    const rowBytes = bytes.length / order.length;
    for (let row = 0; row < order.length; row++) {
      out.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), order[row]! * rowBytes);
    }
    return out;
  });
}

/** Tensors by module. Throws `adapter_target`. */
function gather(tensors: Iterable<GgufTensor>, { tensors: known }: GgufNames, { table, location }: Context): readonly Found[] {
  const modules = modulesOf(table);
  const byGguf = new Map(known.map((name) => [name.gguf, name]));
  const found = new Map<string, Found>();
  const strangers: string[] = [];
  for (const tensor of tensors) {
    const [, stem, end] = /^(.*?)(?:\.lora_([ab]))?$/s.exec(tensor.name)!;
    const layer = /^blk\.(0|[1-9]\d{0,5})\./.exec(stem!)?.[1];
    const name = byGguf.get(layer === undefined ? stem! : stem!.replace(/^blk\.\d+/, 'blk.{layer}'));
    const module = name && modules.find(name.name.replace('{layer}', layer ?? '').replace(/\.weight$/, ''));
    const role = (end ?? 'norm') as Role;
    if (!module || (role === 'norm') !== (module.kind === 'norm')) {
      strangers.push(tensor.name);
      continue;
    }
    const of = found.get(module.name) ?? { module, name, tensors: new Map<Role, GgufTensor>() };
    of.tensors.set(role, tensor);
    found.set(module.name, of);
  }
  if (strangers.length > 0) {
    const message = `${location}: ${strangers.length} tensors match nothing in this model that an adapter may change: ${list(strangers)}`;
    throw new WebLoraError('adapter_target', `${message}. ${describe(table)}.`);
  }
  if (found.size === 0) throw new WebLoraError('adapter_target', `${location} holds no tensor. ${describe(table)}.`);
  return [...found.values()];
}

/** Throws `adapter_target` for one without the other, and what `cutPair` throws. */
function pairsOf({ module, name, tensors }: Found, alpha: number, context: Context): readonly PairPart[] {
  const { table, location } = context;
  const [a, b] = [tensors.get('a'), tensors.get('b')];
  if (module.kind === 'norm') return [];
  if (!a || !b) {
    const [has, lacks] = a ? ['lora_a', 'lora_b'] : ['lora_b', 'lora_a'];
    throw new WebLoraError(
      'adapter_target',
      `${location}: ${name.gguf.replace('{layer}', String(module.block))} has ${has} but no ${lacks}.`,
    );
  }
  const isEmbedding = module.block === table.layers && module.places[0] === OUTER.embedding;
  const [storedA, storedB] = [checkedMatrix(tensorOf(a, context), location), checkedMatrix(tensorOf(b, context), location)];
  const rank = storedB.shape[1]!;
  const { order } = name;
  const pair = {
    ...{ name: module.name, block: module.block, places: module.places, magnitude: undefined, rank: undefined },
    a: isEmbedding ? turned(storedA) : storedA, // a row for each token
    b: order && order.length === storedB.shape[0] ? putBack(storedB, order) : storedB,
    scale: alpha === 0 ? 1 : alpha / rank,
  };
  return cutPair(pair, table, location);
}

function checkedMatrix(tensor: AdapterTensor, location: string): AdapterTensor {
  if (tensor.shape.length === 2 && tensor.shape[0]! > 0 && tensor.shape[1]! > 0) return tensor;
  const code = tensor.shape.length === 2 ? 'adapter_rank' : 'tensor_shape';
  throw new WebLoraError(
    code,
    `${location}: ${tensor.name} has the shape [${tensor.shape}]; it must have two dimensions, neither of them 0.`,
  );
}

function normOf({ module, name, tensors }: Found, context: Context): readonly VectorPart[] {
  const { table, location } = context;
  const found = tensors.get('norm');
  if (!found) return [];
  const tensor = tensorOf(found, context);
  const place = module.places[0]!;
  checkShape(tensor, [(module.block === table.layers ? table.finalNorm : table.norms[place]!).width], location);
  return [{ block: module.block, place, rows: allRows(tensor), offset: name.norm === 'whole' ? 0 : table.normOffset }];
}

/**
 * Finds what a GGUF LoRA holds among its tensors and checks it against the model, by names and shapes alone: `NAME.lora_a` (rank, in),
 * of the embedding (vocabulary, rank), `NAME.lora_b` (out, rank), and norms.
 *
 * Throws `adapter_target`, `adapter_rank`, `tensor_shape`, `tensor_dtype`, and `adapter_setting` for a scale beyond float32.
 */
export function findGgufParts(
  tensors: Iterable<GgufTensor>,
  alpha: number,
  table: SiteTable,
  names: GgufNames,
  location: string,
): AdapterParts {
  const context = { table, location };
  const found = gather(tensors, names, context);
  const pairs = found.flatMap((each) => pairsOf(each, alpha, context));
  checkOnce(pairs, table, location);
  return { pairs, biases: [], norms: found.flatMap((each) => normOf(each, context)), whole: [] };
}
