import { WebLoraError } from '../errors.ts';
import { isFloatDtype } from '../formats/half.ts';
import type { FloatDtype } from '../formats/half.ts';
import { show } from '../formats/json.ts';
import type { TensorInfo } from '../formats/safetensors.ts';
import { rankOf, scaleOf } from './peft-config.ts';
import type { PeftConfig } from './peft-config.ts';
import type { SiteTable } from './sites.ts';

/** One of the two tensors of a pair, its number type known to be one that is read. */
export interface LoraTensor {
  readonly info: TensorInfo;
  readonly dtype: FloatDtype;
}

/** A low-rank pair and the place where it works. A is (rank, inWidth), B is (outWidth, rank), both row-major. */
export interface LoraPair {
  readonly layer: number;
  /** Index into `SiteTable.sites`. */
  readonly site: number;
  readonly rank: number;
  /** alpha / r or alpha / sqrt(r): what B·A is multiplied with. */
  readonly scale: number;
  readonly a: LoraTensor;
  readonly b: LoraTensor;
}

/** How many names a message lists before it counts the rest. */
const LISTED = 8;

/** Layers that PEFT leaves out of `all-linear` and that this engine does not change either. */
const OUTSIDE = /(?:^|\.)(lm_head|embed_tokens)(?:\.|$)/;

function list(names: readonly string[]): string {
  const rest = names.length - LISTED;
  return names.slice(0, LISTED).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

/** The name of a module of the model: `model.layers.0.self_attn.q_proj`. */
export function moduleName(table: SiteTable, layer: number, site: number): string {
  return `${table.prefix}${layer}.${table.sites[site]!.module}`;
}

function describe(table: SiteTable): string {
  const modules = table.sites.map(({ module }) => module).join(', ');
  return `This model has ${table.layers} layers, ${table.prefix}0 to ${table.prefix}${table.layers - 1}, with ${modules}`;
}

interface Place {
  readonly layer: number;
  readonly site: number;
  readonly half: 'a' | 'b';
}

/** `base_model.model.` prefix layer `.` module `.lora_A.weight` → its place; undefined for any other name. */
function placeOf(name: string, table: SiteTable, sites: ReadonlyMap<string, number>): Place | undefined {
  const start = `base_model.model.${table.prefix}`;
  if (!name.startsWith(start)) return undefined;
  const match = /^(0|[1-9]\d{0,5})\.(.+)\.lora_([AB])(?:\.default)?\.weight$/.exec(name.slice(start.length));
  const site = match ? sites.get(match[2]!) : undefined;
  const layer = Number(match?.[1]);
  if (!match || site === undefined || layer >= table.layers) return undefined;
  return { layer, site, half: match[3] === 'A' ? 'a' : 'b' };
}

function refuseStrangers(strangers: readonly string[], table: SiteTable, location: string): void {
  if (strangers.length === 0) return;
  const outside = strangers.map((name) => OUTSIDE.exec(name)?.[1]).find((name) => name !== undefined);
  if (outside !== undefined) {
    throw new WebLoraError('adapter_target', `${location}: the adapter changes ${outside}, which is not served: ${list(strangers)}.`);
  }
  throw new WebLoraError(
    'adapter_target',
    `${location}: ${strangers.length} tensors match nothing in this model: ${list(strangers)}. ${describe(table)}.`,
  );
}

interface Halves {
  a?: TensorInfo;
  b?: TensorInfo;
}

/** Tensors by layer and site (`layer * sites + site`), in that order. Throws `adapter_target`. */
function gather(tensors: Iterable<TensorInfo>, table: SiteTable, location: string): ReadonlyMap<number, Halves> {
  const sites = new Map(table.sites.map(({ module }, index) => [module, index]));
  const gathered = new Map<number, Halves>();
  const strangers: string[] = [];
  for (const info of tensors) {
    const place = placeOf(info.name, table, sites);
    if (!place) {
      strangers.push(info.name);
      continue;
    }
    const key = place.layer * table.sites.length + place.site;
    const halves = gathered.get(key) ?? {};
    if (halves[place.half]) {
      throw new WebLoraError('adapter_target', `${location}: ${info.name} and ${halves[place.half]!.name} are the same tensor twice.`);
    }
    halves[place.half] = info;
    gathered.set(key, halves);
  }
  refuseStrangers(strangers, table, location);
  if (gathered.size === 0) throw new WebLoraError('adapter_target', `${location} holds no tensor. ${describe(table)}.`);
  return new Map([...gathered].sort(([a], [b]) => a - b));
}

function checkedTensor(info: TensorInfo, location: string): LoraTensor {
  const { name, dtype, shape } = info;
  if (!isFloatDtype(dtype)) {
    throw new WebLoraError('tensor_dtype', `${location}: ${name} is ${dtype}; adapters may be F32, F16 or BF16.`);
  }
  if (shape.length !== 2)
    throw new WebLoraError('tensor_shape', `${location}: ${name} has the shape [${shape}]; it must have two dimensions.`);
  return { info, dtype };
}

function checkRank(a: TensorInfo, b: TensorInfo, expected: number, location: string): void {
  const [rank] = a.shape;
  const wrong = (why: string): WebLoraError => new WebLoraError('adapter_rank', `${location}: ${a.name} [${a.shape}] ${why}.`);
  if (rank === 0) throw wrong('has rank 0');
  if (b.shape[1] !== rank) throw wrong(`and ${b.name} [${b.shape}] differ in rank: the first of one must be the second of the other`);
  if (rank !== expected) throw wrong(`has rank ${rank}, but adapter_config.json says ${expected}`);
}

function checkWidth(info: TensorInfo, dimension: 0 | 1, width: number, location: string): void {
  if (info.shape[dimension] === width) return;
  const expected = dimension === 0 ? `[${width}, rank]` : `[rank, ${width}]`;
  throw new WebLoraError(
    'tensor_shape',
    `${location}: ${info.name} has the shape [${info.shape}], but this model needs ${expected}; the adapter is for another base.`,
  );
}

function checkScale(scale: number, name: string, location: string): void {
  const size = Math.abs(scale);
  if (size === 0 || (size >= 2 ** -126 && size <= 2 ** 127)) return;
  throw new WebLoraError(
    'adapter_setting',
    `${location}: lora_alpha and the rank give ${name} the scale ${scale}, which no float32 holds.`,
  );
}

/** A name in a list of PEFT's means the module of that name, and every one whose name ends with it after a dot. */
function isNamed(name: string, by: string): boolean {
  return name === by || name.endsWith(`.${by}`);
}

/** Throws `adapter_target` where the config names modules of this model that no tensor of the adapter belongs to. */
function checkComplete(found: ReadonlyMap<number, Halves>, config: PeftConfig, table: SiteTable, location: string): void {
  const { excludeModules } = config;
  if (excludeModules === undefined) return; // a regular expression: what it leaves out, only PEFT knows
  const targets = [...new Set(config.targetModules)];
  const outside = targets.find((target) => OUTSIDE.test(target));
  const modules = Array.from({ length: table.layers * table.sites.length }, (_, key) => {
    const layer = Math.floor(key / table.sites.length);
    return { key, layer, name: moduleName(table, layer, key % table.sites.length) };
  });
  const absent = targets.filter((target) => {
    const meant = modules.filter(({ name, layer }) => {
      const isMeant = isNamed(name, target) && !excludeModules.some((excluded) => isNamed(name, excluded));
      return isMeant && (name === target || !config.layers || config.layers.includes(layer));
    });
    return meant.length > 0 && !meant.some(({ key }) => found.has(key));
  });
  if (absent.length > 0) {
    throw new WebLoraError(
      'adapter_target',
      `${location} is there in part only: target_modules names ${list(absent)}, but it has no tensors of it.`,
    );
  }
  if (outside !== undefined) {
    throw new WebLoraError(
      'adapter_target',
      `${location}: target_modules names ${show(outside)}, which is not served and has no tensors here.`,
    );
  }
}

/**
 * Throws `adapter_target` for tensors of modules that the config leaves out: PEFT builds no adapter there and drops them, so whoever
 * serves them computes something else.
 */
function refuseUntargeted(found: ReadonlyMap<number, Halves>, config: PeftConfig, table: SiteTable, location: string): void {
  const { targetModules, excludeModules, layers } = config;
  const left = [...found.keys()]
    .map((key) => ({
      layer: Math.floor(key / table.sites.length),
      name: moduleName(table, Math.floor(key / table.sites.length), key % table.sites.length),
    }))
    .filter(({ layer, name }) => {
      if (excludeModules?.some((excluded) => isNamed(name, excluded))) return true;
      if (targetModules === undefined) return layers !== undefined && !layers.includes(layer);
      return !targetModules.some((target) => name === target || (isNamed(name, target) && (layers?.includes(layer) ?? true)));
    })
    .map(({ name }) => name);
  if (left.length === 0) return;
  throw new WebLoraError(
    'adapter_target',
    `${location} has tensors of modules that adapter_config.json leaves out (target_modules, exclude_modules, layers_to_transform): ${list(left)}.`,
  );
}

/**
 * Finds the low-rank pairs of an adapter among its tensors and checks them against the config and the model, by names and shapes alone.
 * The result is in the order of layers and sites.
 *
 * @param location the weights' file, for messages.
 * Throws `adapter_target` (tensors that match nothing, A without B, modules without tensors), `adapter_rank`, `tensor_shape`,
 * `tensor_dtype`, and `adapter_setting` for a scale beyond float32.
 */
export function findPairs(tensors: Iterable<TensorInfo>, config: PeftConfig, table: SiteTable, location: string): readonly LoraPair[] {
  const gathered = gather(tensors, table, location);
  const pairs: LoraPair[] = [];
  for (const [key, { a, b }] of gathered) {
    const layer = Math.floor(key / table.sites.length);
    const site = key % table.sites.length;
    const name = moduleName(table, layer, site);
    if (!a || !b) {
      const [has, lacks] = a ? ['A', 'B'] : ['B', 'A'];
      throw new WebLoraError('adapter_target', `${location}: ${name} has lora_${has} but no lora_${lacks}.`);
    }
    const tensorA = checkedTensor(a, location);
    const tensorB = checkedTensor(b, location);
    checkRank(a, b, rankOf(config, name), location);
    checkWidth(a, 1, table.sites[site]!.inWidth, location);
    checkWidth(b, 0, table.sites[site]!.outWidth, location);
    const scale = scaleOf(config, name);
    checkScale(scale, name, location);
    pairs.push({ layer, site, rank: a.shape[0]!, scale, a: tensorA, b: tensorB });
  }
  checkComplete(gathered, config, table, location);
  refuseUntargeted(gathered, config, table, location);
  return pairs;
}
