import { jsonObject, saysNothing, show, wrongField, type JsonObject } from '../formats/json.ts';
import { FAMILIES, type Family } from './config-families.ts';
import { INERT_KEYS, NEUTRAL_VALUES, PICTURE_KEYS, UNDERSTOOD_KEYS } from './config-keys.ts';
import { unsupported } from './config-values.ts';

/** A config.json whose every key was found to be one that is understood or that changes nothing. */
export interface CheckedConfig {
  /** `model_type` */
  readonly type: string;
  readonly family: Family;
  /** The file's settings, and transformers' where it has none. */
  readonly config: JsonObject;
  /** For messages. */
  readonly location: string;
}

const PICTURES = { type: 'gemma3', inside: 'gemma3_text', architecture: 'Gemma3ForConditionalGeneration' };
/** Settings of a model that sees pictures that count for its text, too. */
const SHARED_KEYS = ['bos_token_id', 'eos_token_id', 'tie_word_embeddings'];

/** Finds the family of a config.json and checks every key. Throws `file_invalid`, `model_unsupported`. */
export function checkConfig(json: unknown, location: string): CheckedConfig {
  const config = jsonObject(json, location);
  const type = config.get('model_type');
  if (typeof type !== 'string') throw wrongField(location, 'model_type', type, 'a text such as "llama"');
  if (type === PICTURES.type) return textInside(config, location);
  const family = FAMILIES.get(type);
  if (!family) {
    throw unsupported(location, `model_type is ${show(type)}; ${[...FAMILIES.keys(), PICTURES.type].join(', ')} are served.`);
  }
  checkArchitecture(config, family.architecture, location);
  checkSettings(config, family.keys, location);
  return { type, family, config: new Map([...Object.entries(family.defaults), ...config]), location };
}

/** The language model of a Gemma 3 that sees pictures, which answers text without its other parts. */
function textInside(whole: JsonObject, location: string): CheckedConfig {
  checkArchitecture(whole, PICTURES.architecture, location);
  checkSettings(whole, [...PICTURE_KEYS], location);
  const inside = jsonObject(whole.get('text_config'), `${location}: text_config`);
  const shared = SHARED_KEYS.filter((key) => !saysNothing(whole.get(key))).map((key) => [key, whole.get(key)] as const);
  const type = inside.get('model_type') ?? PICTURES.inside;
  if (type !== PICTURES.inside)
    throw unsupported(location, `model_type of text_config is ${show(type)}; only "${PICTURES.inside}" is served.`);
  return checkConfig(Object.fromEntries([...inside, ...shared, ['model_type', type]]), `${location}: text_config`);
}

function checkArchitecture(config: JsonObject, served: string, location: string): void {
  const names = config.get('architectures') ?? [];
  if (!Array.isArray(names)) throw wrongField(location, 'architectures', names, 'a list');
  if (names.length > 0 && !names.some((name) => String(name).toLowerCase() === served.toLowerCase())) {
    throw unsupported(location, `architectures is ${show(names)}; only ${served} is served for this model_type.`);
  }
  const code = config.get('auto_map') ?? {};
  const model: unknown = saysNothing(code) ? served : jsonObject(code, `${location}: auto_map`).get('AutoModelForCausalLM');
  // A copy of the class that transformers has since then is as good as that class.
  if (String(model).split('.').at(-1) !== served) {
    throw unsupported(location, `auto_map is ${show(code)}: the model comes with code of its own; only ${served} is served.`);
  }
}

/**
 * Every key is understood, inert, or at a value that changes nothing; a key of neither list is refused by name unless its value says
 * nothing: a setting that we do not know may change what the model computes, and gibberish is worse than a refusal.
 */
function checkSettings(config: JsonObject, keys: readonly string[], location: string): void {
  for (const [key, value] of config) {
    if (UNDERSTOOD_KEYS.has(key) || keys.includes(key) || INERT_KEYS.has(key) || saysNothing(value)) continue;
    const neutral = NEUTRAL_VALUES.get(key);
    if (neutral?.includes(value)) continue;
    if (neutral) {
      const expected = neutral.length > 0 ? `, only ${neutral.map(show).join(' or ')}` : '';
      throw unsupported(location, `${key} is ${show(value)}, which is not served${expected}.`);
    }
    throw unsupported(
      location,
      `${key} is ${show(value)}, a setting that WebLoRA does not know. If it does not change what the model computes, remove it.`,
    );
  }
}
