import { WebLoraError } from '../errors.ts';
import { booleanField, jsonObject, numberField, saysNothing, show, wrongField } from '../formats/json.ts';
import type { JsonObject } from '../formats/json.ts';
import { textName } from '../formats/text-names.ts';
import { isLiteralPattern, modulePattern } from './module-pattern.ts';
import type { ModulePattern } from './module-pattern.ts';

/** What adapter_config.json says of an adapter's mathematics. */
export interface PeftConfig {
  /** The default rank and alpha, and what holds for single modules in place of them; the first match wins. */
  readonly rank: number;
  readonly alpha: number;
  readonly rankPatterns: readonly PatternValue[];
  readonly alphaPatterns: readonly PatternValue[];
  /** `rank`: B·A is scaled by alpha / r. `sqrt(rank)`: by alpha / sqrt(r) (rank-stabilized LoRA). */
  readonly scaledBy: 'rank' | 'sqrt(rank)';
  /** Names of modules, or ends of their names; undefined where the config has a regular expression or leaves it to PEFT. */
  readonly targetModules: readonly string[] | undefined;
  /** Names that are left out; undefined where the config has a regular expression. */
  readonly excludeModules: readonly string[] | undefined;
  /** Layers to which `targetModules` is limited; undefined: all. */
  readonly layers: readonly number[] | undefined;
  /** `magnitude`: each output's weights have a trained length (DoRA). */
  readonly dora: 'no' | 'magnitude';
  /** Biases of the base that were trained. */
  readonly bias: 'none' | 'lora_only' | 'all';
  /** Ends of the names of modules that were trained as a whole. */
  readonly modulesToSave: readonly string[];
  /** `ensured`: where head and embedding share their weights they share what is trained of them, too. */
  readonly tying: 'ensured' | 'left';
}

export interface PatternValue {
  readonly matches: ModulePattern;
  readonly value: number;
}

const UNDERSTOOD: ReadonlySet<string> = new Set([
  'peft_type',
  'r',
  'lora_alpha',
  'use_rslora',
  'rank_pattern',
  'alpha_pattern',
  'target_modules',
  'exclude_modules',
  'layers_to_transform',
  'init_lora_weights',
  'use_dora',
  'bias',
  'modules_to_save',
  'ensure_weight_tying',
]);

/** Keys that say nothing about what a trained adapter computes, or only together with one that is refused. */
const INERT: ReadonlySet<string> = new Set([
  'base_model_name_or_path',
  'revision',
  'task_type',
  'inference_mode',
  'peft_version',
  'auto_mapping',
  'lora_dropout',
  'runtime_config',
  'merge_weights', // PEFT 0.1: whether eval() merges
  'megatron_core', // without megatron_config
  'qalora_group_size', // without use_qalora
  'layers_pattern', // the name of the list of layers; this model has one
  'loftq_config', // how weights were initialized, as init_lora_weights says
  'eva_config',
  'corda_config',
  'lora_ga_config',
]);

/** Keys that change the mathematics, with what they stand for. Served only at null, false, or empty. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['lora_bias', 'a bias on B'],
  ['fan_in_fan_out', 'weights stored as (in, out)'],
  ['layer_replication', 'a new stack of layers'],
  ['trainable_token_indices', 'trained token embeddings'],
  ['target_parameters', 'LoRA on bare parameters'],
  ['alora_invocation_tokens', 'Activated LoRA'],
  ['use_qalora', 'QALoRA'],
  ['use_bdlora', 'block-diagonal LoRA'],
  ['arrow_config', 'Arrow routing'],
  ['kasa_config', 'KaSA'],
  ['monteclora_config', 'MonteCLoRA'],
  ['velora_config', 'VeLoRA'],
  ['megatron_config', 'Megatron layers'],
  ['enable_lora', 'LoRA on parts of a fused layer'],
]);

/** Initializations that leave the base model as it is. */
const KEPT_BASE = new Set(['gaussian', 'orthogonal', 'eva']);

/** Limits on an untrusted file: how many patterns or names a key may have, and how long the patterns with operators are together. */
const MOST_ENTRIES = 16_384;
const LONGEST_OPERATORS = 4096;
const LONGEST_PATTERN = 500;

function refusedSetting(location: string, key: string, value: unknown, why: string): WebLoraError {
  return new WebLoraError('adapter_setting', `${location}: ${key} is ${show(value)} (${why}).`);
}

function checkKeys(config: JsonObject, location: string): void {
  for (const [key, value] of config) {
    if (UNDERSTOOD.has(key) || INERT.has(key) || saysNothing(value)) continue;
    const what = REFUSED.get(key);
    const why =
      what === undefined
        ? 'a setting that WebLoRA does not know, and that may change the mathematics'
        : `${what}: not served; train without it`;
    throw refusedSetting(location, key, value, why);
  }
}

function checkInitialization(config: JsonObject, location: string): void {
  const value = config.get('init_lora_weights') ?? true;
  if (typeof value === 'boolean') return;
  if (typeof value !== 'string') throw wrongField(location, 'init_lora_weights', value, 'true, false or a text');
  if (KEPT_BASE.has(value.toLowerCase())) return;
  const why =
    'this initialization may change the base model, so the adapter fits no unchanged base. ' +
    'Convert it with PEFT: save_pretrained(..., path_initial_model_for_weight_conversion=...)';
  throw refusedSetting(location, 'init_lora_weights', value, why);
}

function checkCount(count: number, key: string, location: string): void {
  if (count <= MOST_ENTRIES) return;
  throw new WebLoraError('adapter_setting', `${location}: ${key} has ${count} entries; at most ${MOST_ENTRIES} are served.`);
}

/** A list of names, as a model has them that is text alone; undefined for null and for a single text, which PEFT takes as a regular expression (or "all-linear"). */
function names(config: JsonObject, key: string, location: string): readonly string[] | undefined {
  const value = config.get(key) ?? undefined;
  if (value === undefined || typeof value === 'string') return undefined;
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) {
    throw wrongField(location, key, value, 'a list of texts, a text, or null');
  }
  checkCount(value.length, key, location);
  return value.map((name) => textName(`${name}.`).slice(0, -1));
}

function layerNumbers(config: JsonObject, location: string): readonly number[] | undefined {
  const value = config.get('layers_to_transform') ?? undefined;
  if (value === undefined) return undefined;
  const list: unknown[] = Array.isArray(value) ? value : [value];
  const isLayer = (layer: unknown): layer is number => typeof layer === 'number' && Number.isSafeInteger(layer) && layer >= 0;
  if (!list.every(isLayer)) throw wrongField(location, 'layers_to_transform', value, 'a layer number, a list of them, or null');
  checkCount(list.length, 'layers_to_transform', location);
  return list.length > 0 ? list : undefined;
}

function trainedBiases(config: JsonObject, location: string): PeftConfig['bias'] {
  const value = config.get('bias');
  if (saysNothing(value)) return 'none';
  if (value === 'none' || value === 'lora_only' || value === 'all') return value;
  throw wrongField(location, 'bias', value, '"none", "lora_only" or "all"');
}

function savedModules(config: JsonObject, location: string): readonly string[] {
  const value = config.get('modules_to_save') ?? undefined;
  if (typeof value === 'string') throw wrongField(location, 'modules_to_save', value, 'a list of texts, or null');
  return names(config, 'modules_to_save', location) ?? [];
}

function patterns(config: JsonObject, key: 'rank_pattern' | 'alpha_pattern', location: string): readonly PatternValue[] {
  const where = `${location}: ${key}`;
  const entries = jsonObject(config.get(key) ?? {}, where);
  checkCount(entries.size, key, location);
  let operators = 0;
  return [...entries].map(([pattern, value]) => {
    const number = numberField(entries, pattern, where, undefined);
    if (number === undefined) throw wrongField(where, show(pattern), value, 'a finite number');
    if (!isLiteralPattern(pattern)) operators += pattern.length;
    const isShort = pattern.length <= LONGEST_PATTERN && operators <= LONGEST_OPERATORS;
    const matches = isShort ? modulePattern(pattern) : undefined;
    if (!matches) {
      const limit = isShort ? 'uses more than the simple regular expressions that are served' : 'is too long, or the patterns are together';
      throw refusedSetting(location, key, pattern, `this pattern ${limit}; write names of modules instead`);
    }
    return { matches, value: number };
  });
}

function checkRank(rank: number, location: string, key: string): void {
  if (!Number.isSafeInteger(rank) || rank < 1) {
    throw new WebLoraError('adapter_rank', `${location}: ${key} is ${rank}; a rank is a positive integer.`);
  }
}

/**
 * Reads adapter_config.json of PEFT (0.1 to 0.21); absent keys have PEFT's defaults.
 *
 * Every key is understood, inert, or refused by name unless it is at the value that changes nothing (null, false, empty). Keys we do not
 * know are refused in the same way. Keys of `rank_pattern` and `alpha_pattern`: see `modulePattern`.
 *
 * @param json what `readJson` returned. @param location the file, for messages.
 * Throws `adapter_type` (not LoRA), `adapter_setting`, `adapter_rank`, and `file_invalid` for a field of the wrong type.
 */
export function parsePeftConfig(json: unknown, location: string): PeftConfig {
  const config = jsonObject(json, location);
  const type = config.get('peft_type');
  if (typeof type !== 'string') throw wrongField(location, 'peft_type', type, 'a text such as "LORA"');
  if (type !== 'LORA') throw new WebLoraError('adapter_type', `${location}: peft_type is ${show(type)}; only "LORA" is served.`);
  checkKeys(config, location);
  checkInitialization(config, location);
  const rank = numberField(config, 'r', location, 8);
  checkRank(rank, location, 'r');
  const rankPatterns = patterns(config, 'rank_pattern', location);
  for (const { value } of rankPatterns) checkRank(value, location, 'a value of rank_pattern');
  return {
    rank,
    alpha: numberField(config, 'lora_alpha', location, 8),
    rankPatterns,
    alphaPatterns: patterns(config, 'alpha_pattern', location),
    scaledBy: booleanField(config, 'use_rslora', location, false) ? 'sqrt(rank)' : 'rank',
    targetModules: names(config, 'target_modules', location),
    excludeModules: typeof config.get('exclude_modules') === 'string' ? undefined : (names(config, 'exclude_modules', location) ?? []),
    layers: layerNumbers(config, location),
    dora: booleanField(config, 'use_dora', location, false) ? 'magnitude' : 'no',
    bias: trainedBiases(config, location),
    modulesToSave: savedModules(config, location),
    tying: booleanField(config, 'ensure_weight_tying', location, false) ? 'ensured' : 'left',
  };
}

function valueOf(patternValues: readonly PatternValue[], name: string, fallback: number): number {
  return patternValues.find(({ matches }) => matches(name))?.value ?? fallback;
}

/** Rank that the config gives to a module (`model.layers.0.self_attn.q_proj`). */
export function rankOf(config: PeftConfig, name: string): number {
  return valueOf(config.rankPatterns, name, config.rank);
}

/** What B·A of a module is multiplied with: alpha / r, or alpha / sqrt(r). */
export function scaleOf(config: PeftConfig, name: string): number {
  const rank = rankOf(config, name);
  return valueOf(config.alphaPatterns, name, config.alpha) / (config.scaledBy === 'rank' ? rank : Math.sqrt(rank));
}

/** Whether `modules_to_save` names a module: PEFT compares the ends of names, dot or not. */
export function isSaved({ modulesToSave }: PeftConfig, name: string): boolean {
  return modulesToSave.some((key) => name.endsWith(key));
}
