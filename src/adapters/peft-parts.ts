import { WebLoraError } from '../errors.ts';
import type { TensorInfo } from '../formats/safetensors.ts';
import { textName } from '../formats/text-names.ts';
import { describe, list, modulesOf } from './modules.ts';
import type { Module, Modules } from './modules.ts';
import { allRows, checkOnce, checkShape, cutBias, cutPair, floatDtype, turned } from './parts.ts';
import type { AdapterParts, AdapterTensor, PairPart, VectorPart, WholePart } from './parts.ts';
import { checkComplete, refuseUntargeted } from './peft-checks.ts';
import { isSaved, rankOf, scaleOf } from './peft-config.ts';
import type { PeftConfig } from './peft-config.ts';
import { OUTER } from './sites.ts';
import type { SiteTable } from './sites.ts';

/** What a tensor of PEFT's is to its module. */
type Role = 'a' | 'b' | 'embeddingA' | 'embeddingB' | 'magnitude' | 'bias' | 'saved' | 'base';

/** Ends of PEFT's names, behind the module's; the first that fits. Some have the adapter's name in them, as a raw state dict has. */
const ROLES: readonly (readonly [RegExp, Role])[] = [
  [/\.lora_A(\.default)?\.weight$/, 'a'],
  [/\.lora_B(\.default)?\.weight$/, 'b'],
  [/\.lora_embedding_A(\.default)?$/, 'embeddingA'],
  [/\.lora_embedding_B(\.default)?$/, 'embeddingB'],
  [/\.lora_magnitude_vector(\.default)?(\.weight)?$/, 'magnitude'],
  [/(\.base_layer)?\.bias$/, 'bias'],
  [/\.base_layer\.weight$/, 'base'],
  [/(\.modules_to_save(\.default)?)?\.weight$/, 'saved'],
];

/** The tensors of one module. */
interface Found {
  readonly module: Module;
  /** The module as the file names it, beside a part that sees pictures or not: what PEFT compares patterns with. */
  readonly named: string;
  readonly tensors: Map<Role, TensorInfo>;
}

export type FoundModules = ReadonlyMap<string, Found>;

/** Layers outside of the decoder layers, whose weights an adapter may hold whole. */
const isOuter = ({ kind, block }: Module, table: SiteTable): boolean => kind === 'linear' && block === table.layers;

/** Whether a module of this kind can have a tensor of that role. */
function belongs(role: Role, module: Module, table: SiteTable): boolean {
  if (module.kind === 'norm') return role === 'saved';
  if (!isOuter(module, table)) return role === 'a' || role === 'b' || role === 'magnitude' || role === 'bias';
  const [first, second] = module.places[0] === OUTER.embedding ? ['embeddingA', 'embeddingB'] : ['a', 'b'];
  return role === first || role === second || role === 'magnitude' || role === 'saved' || role === 'base';
}

interface Placed extends Pick<Found, 'module' | 'named'> {
  readonly role: Role;
}

function placeOf(name: string, modules: Modules, table: SiteTable): Placed | undefined {
  const start = 'base_model.model.';
  if (!name.startsWith(start)) return undefined;
  const rest = name.slice(start.length);
  for (const [end, role] of ROLES) {
    const match = end.exec(rest);
    if (!match) continue;
    const named = rest.slice(0, match.index);
    const module = modules.find(textName(`${named}.`).slice(0, -1));
    return module && belongs(role, module, table) ? { module, named, role } : undefined;
  }
  return undefined;
}

/** Tensors by module. Throws `adapter_target`. */
function gather(tensors: Iterable<TensorInfo>, modules: Modules, table: SiteTable, location: string): FoundModules {
  const found = new Map<string, Found>();
  const strangers: string[] = [];
  for (const info of tensors) {
    const place = placeOf(info.name, modules, table);
    if (!place) {
      strangers.push(info.name);
      continue;
    }
    const { module, named, role } = place;
    const of = found.get(module.name) ?? { module, named, tensors: new Map<Role, TensorInfo>() };
    const other = of.tensors.get(role);
    if (other) throw new WebLoraError('adapter_target', `${location}: ${info.name} and ${other.name} are the same tensor twice.`);
    of.tensors.set(role, info);
    found.set(module.name, of);
  }
  if (strangers.length > 0) {
    const message = `${location}: ${strangers.length} tensors match nothing in this model that an adapter may change: ${list(strangers)}`;
    throw new WebLoraError('adapter_target', `${message}. ${describe(table)}.`);
  }
  if (found.size === 0) throw new WebLoraError('adapter_target', `${location} holds no tensor. ${describe(table)}.`);
  return found;
}

interface Context {
  readonly config: PeftConfig;
  readonly table: SiteTable;
  readonly location: string;
}

function tensorOf(info: TensorInfo, { location }: Context): AdapterTensor {
  const { name, file, start, end, shape } = info;
  return { name, file, start, end, shape, dtype: floatDtype(info, location) };
}

/** The low-rank pair of a module; undefined where it has none. Throws `adapter_target`, and what `cutPair` throws. */
function pairsOf({ module, named, tensors }: Found, context: Context): readonly PairPart[] {
  const { config, table, location } = context;
  const { name, block, places } = module;
  const magnitude = tensors.get('magnitude');
  const [a, b] = [tensors.get('a') ?? tensors.get('embeddingA'), tensors.get('b') ?? tensors.get('embeddingB')];
  if (!a && !b && !magnitude) return [];
  if (!a || !b) {
    const [has, lacks] = a ? ['lora_A', 'lora_B'] : b ? ['lora_B', 'lora_A'] : ['lora_magnitude_vector', 'lora_A'];
    throw new WebLoraError('adapter_target', `${location}: ${name} has ${has} but no ${lacks}.`);
  }
  if ((config.dora === 'magnitude') !== (magnitude !== undefined)) {
    const what = magnitude ? 'has a lora_magnitude_vector, but use_dora is not set' : 'has no lora_magnitude_vector, but use_dora is true';
    throw new WebLoraError('adapter_target', `${location}: ${name} ${what}.`);
  }
  if (magnitude && isOuter(module, table)) {
    throw new WebLoraError('adapter_target', `${location}: DoRA on ${name} is not served; train it on layers inside the model alone.`);
  }
  const stored = { a: tensorOf(a, context), b: tensorOf(b, context), magnitude: magnitude && tensorOf(magnitude, context) };
  return cutPair({ name, block, places, ...stored, scale: scaleOf(config, named), rank: rankOf(config, named) }, table, location);
}

/**
 * The head's pair where it is the embedding's: its weights are the embedding's turned, and so are A and B, which change places. PEFT
 * ties them where `ensure_weight_tying` is set and the base ties the weights.
 */
function tiedPair(pairs: readonly PairPart[], { config, table, location }: Context): readonly PairPart[] {
  const isAt = (place: number) => (pair: PairPart) => pair.block === table.layers && pair.place === place;
  const embedding = pairs.find(isAt(OUTER.embedding));
  if (!embedding || table.tied === 'no' || config.tying === 'left' || pairs.some(isAt(OUTER.head))) return [];
  const name = table.outer[OUTER.head].module;
  const [a, b] = [turned(embedding.b.tensor), turned(embedding.a.tensor)];
  const stored = { block: table.layers, places: [OUTER.head], a, b, magnitude: undefined };
  return cutPair({ name, ...stored, scale: scaleOf(config, name), rank: undefined }, table, location);
}

function normOf({ module, tensors }: Found, context: Context): readonly VectorPart[] {
  const { table, location } = context;
  const info = tensors.get('saved');
  if (module.kind !== 'norm' || !info) return [];
  const tensor = tensorOf(info, context);
  const place = module.places[0]!;
  checkShape(tensor, [(module.block === table.layers ? table.finalNorm : table.norms[place]!).width], location);
  return [{ block: module.block, place, rows: allRows(tensor), offset: table.normOffset }];
}

/**
 * Saved matrices. What `modules_to_save` names is a copy that takes the place of one module alone, unless `ensure_weight_tying` ties
 * it; any other was saved with the base (`save_embedding_layers`), and is loaded into it: where the base ties its weights, for both.
 */
function wholeOf(found: FoundModules, context: Context): readonly WholePart[] {
  const { config, table, location } = context;
  const outer = [OUTER.embedding, OUTER.head].map((place) => {
    const { module, inWidth, outWidth } = table.outer[place];
    const tensors = found.get(module)?.tensors;
    const [saved, base] = [tensors?.get('saved'), tensors?.get('base')];
    if (saved && base) {
      throw new WebLoraError('adapter_target', `${location}: ${saved.name} and ${base.name} are both the weights of ${module}.`);
    }
    const info = saved ?? base;
    const tensor = info && tensorOf(info, context);
    if (tensor) checkShape(tensor, place === OUTER.head ? [outWidth, inWidth] : [inWidth, outWidth], location);
    const isCopy = saved !== undefined && isSaved(config, module);
    return { place, tensor, isShared: table.tied === 'yes' && (!isCopy || config.tying === 'ensured') };
  });
  const both = outer.map(({ place }) => place);
  const isAlone = outer.filter(({ tensor }) => tensor).length === 1;
  return outer.flatMap(({ place, tensor, isShared }) => (tensor ? [{ places: isAlone && isShared ? both : [place], tensor }] : []));
}

/**
 * Finds what an adapter of PEFT's holds among its tensors and checks it against the config and the model, by names and shapes alone.
 * Linear layers may be named as this model has them or fused (`qkv_proj`, `gate_up_proj`), whatever the base's checkpoint does.
 *
 * @param location the weights' file, for messages.
 * Throws `adapter_target` (tensors that match nothing, A without B, modules without tensors), `adapter_rank`, `tensor_shape`,
 * `tensor_dtype`, and `adapter_setting` for a scale beyond float32.
 */
export function findPeftParts(tensors: Iterable<TensorInfo>, config: PeftConfig, table: SiteTable, location: string): AdapterParts {
  const context = { config, table, location };
  const modules = modulesOf(table);
  const found = gather(tensors, modules, table, location);
  const all = [...found.values()];
  const own = all.flatMap((each) => pairsOf(each, context));
  const pairs = [...own, ...tiedPair(own, context)];
  const biases = all.flatMap(({ module, tensors: of }) => {
    const info = of.get('bias');
    return info ? cutBias(tensorOf(info, context), module, table, location) : [];
  });
  const parts = { pairs, biases, norms: all.flatMap((each) => normOf(each, context)), whole: wholeOf(found, context) };
  checkOnce(pairs, table, location);
  checkOnce(biases, table, location);
  const lora = new Set(all.filter(({ tensors: of }) => of.has('b') || of.has('embeddingB')).map(({ module }) => module.name));
  checkComplete(parts, modules, context);
  refuseUntargeted(lora, modules, context);
  return parts;
}
