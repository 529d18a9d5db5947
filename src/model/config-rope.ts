import { jsonObject, numberField, show, wrongField, type JsonObject } from '../formats/json.ts';
import type { CheckedConfig } from './config-family.ts';
import { positive, unsupported } from './config-values.ts';

/** How the positions of a layer turn q and k: pair `i` of a head's first `dimensions` numbers by `position * frequencies[i]`. */
export interface Rope {
  /** Numbers of a head that are turned, even; those behind stay (partial rotary). */
  readonly dimensions: number;
  /** Radians a position, `dimensions / 2` of them, scaling included; in double. */
  readonly frequencies: readonly number[];
  /** LongRoPE: what serves instead where the served length exceeds `original`. */
  readonly long?: { readonly original: number; readonly frequencies: readonly number[] };
  /** What cos and sin are multiplied with (LongRoPE's attention factor); else 1. */
  readonly factor: number;
}

/**
 * The frequencies that serve texts of up to `servedLength` tokens: LongRoPE's long ones where that exceeds the length that the model
 * was trained with. They are chosen once, for every text: keys that lie in the cache cannot turn again.
 */
export function ropeFrequencies({ frequencies, long }: Rope, servedLength: number): readonly number[] {
  return long && servedLength > long.original ? long.frequencies : frequencies;
}

/** Settings of each type of rope beyond its theta. */
const SETTINGS: Readonly<Record<string, readonly string[]>> = {
  default: [],
  linear: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'],
  longrope: ['factor', 'short_factor', 'long_factor', 'attention_factor', 'original_max_position_embeddings'],
};
const GENERAL = ['rope_type', 'type', 'rope_theta', 'partial_rotary_factor'];
const EMPTY: JsonObject = new Map();

/** What ropes of one config.json have in common. */
interface RopeSource extends CheckedConfig {
  readonly headDim: number;
  readonly contextLength: number;
}

/** The ropes of layers that see all positions and of layers with a window; the same one where the family has one. */
export interface Ropes {
  readonly full: Rope;
  readonly sliding: Rope;
}

/**
 * Reads rope from `rope_parameters` (transformers 5) or `rope_theta`, `rope_local_base_freq` and `rope_scaling` (before). Where both
 * are there they must agree.
 * Throws `file_invalid`, `model_unsupported`.
 */
export function readRopes(checked: CheckedConfig, headDim: number, contextLength: number): Ropes {
  const { config, location, family } = checked;
  const source = { ...checked, headDim, contextLength };
  const older = entry(config, 'rope_scaling', location);
  const newer = entry(config, 'rope_parameters', location);
  if (family.ropes === 'one') {
    const rope = agreed(source, 'rope_theta', 10_000, newer, older);
    return { full: rope, sliding: rope };
  }
  for (const key of newer?.keys() ?? []) {
    if (key === 'full_attention' || key === 'sliding_attention') continue;
    throw unsupported(location, `rope_parameters has ${key}; it must have full_attention and sliding_attention, one rope for each.`);
  }
  const of = (kind: string): JsonObject | undefined => newer && entry(newer, kind, `${location}: rope_parameters`);
  return {
    full: agreed(source, 'rope_theta', 1_000_000, of('full_attention'), older),
    sliding: agreed(source, 'rope_local_base_freq', 10_000, of('sliding_attention'), undefined),
  };
}

function entry(config: JsonObject, key: string, location: string): JsonObject | undefined {
  const value = config.get(key) ?? undefined;
  return value === undefined ? undefined : jsonObject(value, `${location}: ${key}`);
}

function agreed(source: RopeSource, thetaKey: string, usualTheta: number, newer?: JsonObject, older?: JsonObject): Rope {
  const { config, location } = source;
  const outer = positive(config, thetaKey, location);
  const read = (rope: JsonObject, key: string): Rope => {
    const theta = either(thetaKey, outer, positive(rope, 'rope_theta', `${location}: ${key}`), location) ?? usualTheta;
    if (!(theta >= 1 && theta <= 1e12)) throw unsupported(location, `${thetaKey} is ${theta}; values from 1 to 1e12 are served.`);
    return readRope(source, rope, theta, `${location}: ${key}`);
  };
  const scaled = older && read(older, 'rope_scaling');
  const rope = newer ? read(newer, 'rope_parameters') : (scaled ?? read(EMPTY, 'rope_parameters'));
  if (scaled && JSON.stringify(scaled) !== JSON.stringify(rope)) {
    throw unsupported(location, 'rope_parameters and rope_scaling say different things; remove the one that does not hold.');
  }
  return rope;
}

/** The number that a key has, outside or inside the rope's own settings. Throws `model_unsupported` where these differ. */
function either(key: string, outer: number | undefined, inner: number | undefined, location: string): number | undefined {
  if (outer !== undefined && inner !== undefined && outer !== inner) {
    throw unsupported(location, `${key} is ${outer}, but inside rope_parameters or rope_scaling it is ${inner}.`);
  }
  return inner ?? outer;
}

/** @param where the file and the object in it, for messages. */
function readRope(source: RopeSource, rope: JsonObject, theta: number, where: string): Rope {
  const named = rope.get('rope_type') ?? rope.get('type') ?? 'default';
  const type = typeof named === 'string' ? (source.family.ropeTypes[named] ?? named) : '';
  const known = Object.hasOwn(SETTINGS, type) ? SETTINGS[type] : undefined;
  if (!known) throw unsupported(where, `its type is ${show(named)}; ${Object.keys(SETTINGS).join(', ')} are served.`);
  for (const [key, value] of rope) {
    if (GENERAL.includes(key) || known.includes(key) || value === null) continue;
    throw unsupported(where, `${key} is ${show(value)}, a setting that rope of type ${show(type)} has not.`);
  }
  const dimensions = rotaryDimensions(source, rope);
  const plain = Array.from({ length: dimensions / 2 }, (_, pair) => theta ** ((-2 * pair) / dimensions));
  if (type === 'linear') {
    const factor = needed(rope, 'factor', where);
    return { dimensions, frequencies: plain.map((frequency) => frequency / factor), factor: 1 };
  }
  if (type === 'llama3') return { dimensions, frequencies: smoothed(source, rope, plain, where), factor: 1 };
  if (type === 'longrope') return longRope(source, rope, plain, where);
  return { dimensions, frequencies: plain, factor: 1 };
}

/** Numbers of a head that turn: all, or a part in Phi-4-mini. */
function rotaryDimensions({ config, location, family, headDim }: RopeSource, rope: JsonObject): number {
  const key = 'partial_rotary_factor';
  const part = either(key, positive(config, key, location), positive(rope, key, location), location) ?? 1;
  if (part > 1 || (part !== 1 && !family.keys.includes(key))) {
    throw unsupported(location, `${key} is ${part}; ${family.keys.includes(key) ? 'at most' : 'only'} 1 is served.`);
  }
  // GGUF gives dimensions, and 30 / 104 of 104 is below 30 in floating point
  const dimensions = Math.floor(headDim * part + 1e-9);
  if (dimensions < 2 || dimensions % 2 !== 0) {
    throw unsupported(location, `${key} is ${part} of ${headDim}: ${dimensions} numbers of a head turn; an even number is served.`);
  }
  return dimensions;
}

function needed(rope: JsonObject, key: string, where: string): number {
  const value = positive(rope, key, where);
  if (value === undefined) throw wrongField(where, key, value, 'a positive number');
  return value;
}

/** The length that the model was trained with before its rope was scaled. */
function originalLength({ config, location, family, contextLength }: RopeSource, rope: JsonObject): number {
  const key = 'original_max_position_embeddings';
  const value = either(key, numberField(config, key, location, undefined), numberField(rope, key, location, undefined), location);
  const length = value ?? family.originalLength ?? contextLength;
  if (!Number.isSafeInteger(length) || length < 2) throw wrongField(location, key, length, 'an integer above 1');
  return length;
}

/**
 * Llama 3.1's scaling: waves longer than the original length over `low_freq_factor` are stretched by `factor`, those shorter than it
 * over `high_freq_factor` stay, and those between are blended.
 */
function smoothed(source: RopeSource, rope: JsonObject, plain: readonly number[], where: string): readonly number[] {
  const factor = needed(rope, 'factor', where);
  const low = needed(rope, 'low_freq_factor', where);
  const high = needed(rope, 'high_freq_factor', where);
  if (high <= low) throw wrongField(where, 'high_freq_factor', high, `above low_freq_factor, which is ${low}`);
  const original = originalLength(source, rope);
  return plain.map((frequency) => {
    const turns = (original * frequency) / (2 * Math.PI);
    const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return ((1 - kept) * frequency) / factor + kept * frequency;
  });
}

/** LongRoPE: each frequency is divided by a factor of its own, one list for short texts and one for long. */
function longRope(source: RopeSource, rope: JsonObject, plain: readonly number[], where: string): Rope {
  const original = originalLength(source, rope);
  const divided = (key: string): readonly number[] => {
    const factors = rope.get(key);
    const valid = Array.isArray(factors) && factors.length === plain.length;
    if (!valid || !factors.every((factor) => typeof factor === 'number' && factor > 0 && Number.isFinite(factor))) {
      throw wrongField(where, key, factors, `a list of ${plain.length} positive numbers`);
    }
    return plain.map((frequency, pair) => frequency / (factors[pair] as number));
  };
  const stretch = positive(rope, 'factor', where) ?? source.contextLength / original;
  const computed = stretch > 1 ? Math.sqrt(1 + Math.log(stretch) / Math.log(original)) : 1;
  return {
    dimensions: 2 * plain.length,
    frequencies: divided('short_factor'),
    long: { original, frequencies: divided('long_factor') },
    factor: positive(rope, 'attention_factor', where) ?? computed,
  };
}
