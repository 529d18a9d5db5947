import { WebLoraError } from '../errors.ts';
import { list, siteName } from './modules.ts';
import type { Module, Modules } from './modules.ts';
import type { AdapterParts } from './parts.ts';
import { isSaved, type PeftConfig } from './peft-config.ts';
import type { SiteTable } from './sites.ts';

interface Context {
  readonly config: PeftConfig;
  readonly table: SiteTable;
  readonly location: string;
}

/** A name in a list of PEFT's means the module of that name, and every one whose name ends with it after a dot. */
function isNamed(name: string, by: string): boolean {
  return name === by || name.endsWith(`.${by}`);
}

/** Whether PEFT counts a module among those that `layers_to_transform` leaves: outside of the layers there is none. */
function isInLayers({ block }: Module, { config, table }: Context): boolean {
  return !config.layers || (block < table.layers && config.layers.includes(block));
}

function inPart(location: string, what: string): WebLoraError {
  return new WebLoraError('adapter_target', `${location} is there in part only: ${what}.`);
}

/** Throws `adapter_target` where the config names modules of this model that no tensor of the adapter belongs to. */
export function checkComplete(parts: AdapterParts, modules: Modules, context: Context): void {
  checkTargets(parts, modules, context);
  checkSaved(parts, modules, context);
  checkBiases(parts, context);
}

function checkTargets({ pairs }: AdapterParts, modules: Modules, context: Context): void {
  const { config, location } = context;
  const { excludeModules } = config;
  if (excludeModules === undefined) return; // a regular expression: what it leaves out, only PEFT knows
  const there = new Set(pairs.map(({ block, place }) => `${block} ${place}`));
  const linear = modules.all.filter(({ kind, isOfBase }) => kind === 'linear' && isOfBase);
  const absent = [...new Set(config.targetModules)].filter((target) => {
    const meant = linear.filter((module) => {
      const { name } = module;
      const isMeant = isNamed(name, target) && !excludeModules.some((excluded) => isNamed(name, excluded));
      return isMeant && (name === target || isInLayers(module, context));
    });
    return meant.length > 0 && !meant.some(({ block, places }) => places.every((place) => there.has(`${block} ${place}`)));
  });
  if (absent.length > 0) throw inPart(location, `target_modules names ${list(absent)}, but it has no tensors of it`);
}

/** Here PEFT compares the ends of names, dot or not: `norm` is every norm. */
function checkSaved({ norms, whole }: AdapterParts, { all }: Modules, { config, table, location }: Context): void {
  const named = all.filter(({ name }) => isSaved(config, name));
  const layer = named.find(({ kind, block }) => kind === 'linear' && block < table.layers);
  const unknown = config.modulesToSave.find((key) => !all.some(({ name }) => name.endsWith(key)));
  const other = layer?.name ?? unknown;
  if (other !== undefined) {
    const served = `norms, ${table.outer.map(({ module }) => module).join(' and ')} may be saved as a whole`;
    throw new WebLoraError('adapter_target', `${location}: modules_to_save names ${other}, which is not served: ${served}.`);
  }
  const absent = named.filter(({ kind, block, places: [place] }) => {
    if (kind === 'linear') return !whole.some(({ places }) => places.includes(place!));
    return !norms.some((norm) => norm.block === block && norm.place === place);
  });
  if (absent.length === 0) return;
  throw inPart(location, `modules_to_save names ${list(absent.map(({ name }) => name))}, but it has no tensors of it`);
}

function checkBiases({ pairs, biases }: AdapterParts, { config, table, location }: Context): void {
  if (config.bias === 'none') return;
  const key = (block: number, place: number): string => siteName(table, block, place);
  const there = new Set(biases.map(({ block, place }) => key(block, place)));
  const targeted = new Set(pairs.map(({ block, place }) => key(block, place)));
  const absent: string[] = [];
  for (let block = 0; block < table.layers; block++) {
    for (const [place, { bias }] of table.sites.entries()) {
      const name = key(block, place);
      if (bias === 'yes' && (config.bias === 'all' || targeted.has(name)) && !there.has(name)) absent.push(name);
    }
  }
  if (absent.length === 0) return;
  throw inPart(location, `bias is "${config.bias}", but it has no bias of ${list(absent)}; with "none" the base's are used`);
}

/**
 * Throws `adapter_target` for tensors of modules that the config leaves out: PEFT builds no adapter there and drops them, so whoever
 * serves them computes something else.
 */
export function refuseUntargeted(lora: ReadonlySet<string>, { all }: Modules, context: Context): void {
  const { config, table, location } = context;
  const { targetModules, excludeModules } = config;
  const isTied = (module: Module): boolean => config.tying === 'ensured' && table.tied === 'yes' && module.block === table.layers;
  const left = all.filter((module) => {
    const { name } = module;
    if (!lora.has(name) || isTied(module)) return false;
    if (excludeModules?.some((excluded) => isNamed(name, excluded))) return true;
    if (targetModules === undefined) return !isInLayers(module, context);
    return !targetModules.some((target) => name === target || (isNamed(name, target) && isInLayers(module, context)));
  });
  if (left.length === 0) return;
  const names = list(left.map(({ name }) => name));
  const keys = 'target_modules, exclude_modules, layers_to_transform';
  throw new WebLoraError('adapter_target', `${location} has tensors of modules that adapter_config.json leaves out (${keys}): ${names}.`);
}
