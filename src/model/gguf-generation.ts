import { parseGenerationConfig, type GenerationConfig } from './generation-config.ts';

const PREFIX = 'general.sampling.';

/** What generation_config.json calls the values that llama.cpp's converter takes from it. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['temp', 'temperature'],
  ['penalty_repeat', 'repetition_penalty'],
]);

/** Settings that change nothing where another one is off: that one, where it is off, and what holds where the file has none. */
interface Master {
  readonly key: string;
  readonly isOff: (value: unknown) => boolean;
}

const XTC: Master = { key: 'xtc_probability', isOff: (value) => value === 0 };
const MIROSTAT: Master = { key: 'mirostat', isOff: (value) => value === 0 };
const PENALTY: Master = { key: 'penalty_repeat', isOff: (value) => value === 1 };
const MASTERS: ReadonlyMap<string, Master> = new Map([
  ['xtc_probability', XTC],
  ['xtc_threshold', XTC],
  ['mirostat', MIROSTAT],
  ['mirostat_tau', MIROSTAT],
  ['mirostat_eta', MIROSTAT],
  ['penalty_last_n', PENALTY],
]);

/**
 * What a GGUF file says of sampling (`general.sampling.*`), as its generation_config.json would: converters of since late 2025 keep it
 * there, and llama.cpp takes it for whatever a request leaves out. A penalty is of the whole text, as everywhere here; where the file
 * says of how many tokens (`penalty_last_n`), that is named in `ignored`. End tokens are the config's.
 *
 * @param location the file, for messages. Throws `file_invalid` for a value that is no number, or out of its range.
 */
export function generationOfGguf(metadata: ReadonlyMap<string, unknown>, location: string): GenerationConfig {
  const config: Record<string, unknown> = {};
  for (const [key, value] of metadata) {
    if (!key.startsWith(PREFIX)) continue;
    const name = key.slice(PREFIX.length);
    const master = MASTERS.get(name);
    const ruling = master && metadata.get(PREFIX + master.key);
    if (master && (ruling === undefined || master.isOff(ruling))) continue;
    if (name === 'penalty_last_n' && value === -1) continue; // the whole text
    config[NAMES.get(name) ?? name] = typeof value === 'number' ? shortest(value) : value;
  }
  return parseGenerationConfig(config, `${location}: general.sampling`);
}

/** The decimal that an f32 was written for: 0.95, not 0.949999988079071. */
function shortest(value: number): number {
  const decimal = Number(value.toPrecision(7));
  return Math.fround(decimal) === Math.fround(value) ? decimal : value;
}
