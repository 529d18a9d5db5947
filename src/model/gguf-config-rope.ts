import { WebLoraError } from '../errors.ts';
import { show } from '../formats/json.ts';
import { type GgufSettings, numberOf, unsupported, valueOf, wrong } from './gguf-config-values.ts';

/** One entry of `rope_parameters`. */
export type RopeParameters = Readonly<Record<string, unknown>>;

/** The numbers that rope of a file goes by. */
export interface RopeSizes {
  readonly headDim: number;
  readonly contextLength: number;
  /** Names of the file's tensors. */
  readonly tensors: ReadonlySet<string>;
}

const llama3Factors = 'rope_freqs.weight';
const longFactors = 'rope_factors_long.weight';
const shortFactors = 'rope_factors_short.weight';

/** Tensors that say by how much rope's frequencies are divided. */
export const ropeFactorTensors: readonly string[] = [llama3Factors, longFactors, shortFactors];

/**
 * How full-attention layers rotate. Where the file keeps factors in tensors, the entry names them (`long_factor_tensor`,
 * `short_factor_tensor`) until `withRopeFactors` puts their values in; Llama 3's, which are one list, become both.
 */
export function ropeParameters(settings: GgufSettings, sizes: RopeSizes): RopeParameters {
  const { architecture, location } = settings;
  const theta = numberOf(settings, 'rope.freq_base') ?? 10_000;
  const dimensions = numberOf(settings, 'rope.dimension_count') ?? sizes.headDim;
  if (architecture !== 'phi3' && dimensions !== sizes.headDim) {
    throw unsupported(
      location,
      `${architecture}.rope.dimension_count is ${dimensions}; only heads that are rotated whole (${sizes.headDim}) are served.`,
    );
  }
  if (!Number.isInteger(dimensions / 2) || dimensions < 2 || dimensions > sizes.headDim) {
    throw wrong(location, `${architecture}.rope.dimension_count`, dimensions, `even, and at most the head's ${sizes.headDim}`);
  }
  const partial = architecture === 'phi3' ? { partial_rotary_factor: dimensions / sizes.headDim } : {};
  const plain = { rope_theta: theta, ...partial };
  const linear = linearFactor(settings);
  const factors = factorTensors(settings, sizes);
  if (factors !== undefined) {
    if (linear !== undefined)
      throw unsupported(location, `rope is scaled by ${linear} and by the tensor ${factors.long_factor_tensor}; only one is served.`);
    return { rope_type: 'longrope', ...plain, ...factors };
  }
  const attention = numberOf(settings, 'rope.scaling.attn_factor') ?? 1;
  if (attention !== 1)
    throw unsupported(location, `${architecture}.rope.scaling.attn_factor is ${attention}, and there are no rope factors.`);
  return linear === undefined ? { rope_type: 'default', ...plain } : { rope_type: 'linear', factor: linear, ...plain };
}

/** By how much positions are divided; undefined where they are not. */
function linearFactor(settings: GgufSettings): number | undefined {
  const key = `${settings.architecture}.rope.scaling.type`;
  const type = valueOf(settings, 'rope.scaling.type') ?? 'linear';
  if (type === 'none' || type === 'longrope') return undefined;
  if (type !== 'linear') throw unsupported(settings.location, `${key} is ${show(type)}; "none", "linear" and "longrope" are served.`);
  const factor = numberOf(settings, 'rope.scaling.factor') ?? numberOf(settings, 'rope.scale_linear') ?? 0;
  if (factor < 0) throw wrong(settings.location, `${settings.architecture}.rope.scaling.factor`, factor, 'positive');
  return factor === 0 || factor === 1 ? undefined : factor;
}

interface FactorTensors {
  readonly long_factor_tensor: string;
  readonly short_factor_tensor: string;
  readonly original_max_position_embeddings: number;
  readonly attention_factor?: number;
}

function factorTensors(settings: GgufSettings, { tensors, contextLength }: RopeSizes): FactorTensors | undefined {
  const { architecture, location } = settings;
  const found = ropeFactorTensors.filter((name) => tensors.has(name));
  const isNamed = valueOf(settings, 'rope.scaling.type') === 'longrope';
  // Converters leave the type out for Phi-3, whose files have these tensors all the same.
  const isLong = isNamed || architecture === 'phi3';
  const allowed = isLong ? [longFactors, shortFactors] : architecture === 'llama' ? [llama3Factors] : [];
  const stray = found.find((name) => !allowed.includes(name));
  if (stray !== undefined) throw unsupported(location, `the tensor ${stray} scales rope, which is not served for ${architecture}.`);
  if (found.length === 0 && isNamed) {
    throw unsupported(location, `${architecture}.rope.scaling.type is "longrope", and there is no tensor ${longFactors}.`);
  }
  if (found.length === 0) return undefined;
  if (!isLong) {
    const whole = { original_max_position_embeddings: contextLength, attention_factor: 1 };
    return { long_factor_tensor: llama3Factors, short_factor_tensor: llama3Factors, ...whole };
  }
  if (found.length === 1)
    throw unsupported(location, `the tensor ${found[0]} has no counterpart; ${longFactors} and ${shortFactors} come together.`);
  const original = numberOf(settings, 'rope.scaling.original_context_length') ?? contextLength;
  if (!Number.isSafeInteger(original) || original < 1) {
    throw wrong(location, `${architecture}.rope.scaling.original_context_length`, original, 'a positive integer');
  }
  const attention = numberOf(settings, 'rope.scaling.attn_factor');
  return {
    long_factor_tensor: longFactors,
    short_factor_tensor: shortFactors,
    original_max_position_embeddings: original,
    ...(attention === undefined ? {} : { attention_factor: attention }),
  };
}

/** Gives a tensor's values by its name. Of more than `most` it may leave out all but one. */
export type ReadFactors = (tensor: string, most: number) => Promise<ArrayLike<number>>;

/**
 * Puts the values of factor tensors into the config that names them.
 *
 * @param config what `configOfGguf` returned. @param read asked once for each name. @param location the file, for messages.
 * @returns the config as transformers would write it; the same object where no tensor is named.
 * Throws `tensor_shape` for a wrong number of factors, `file_invalid` for one that is no positive number.
 */
export async function withRopeFactors(
  config: Readonly<Record<string, unknown>>,
  read: ReadFactors,
  location: string,
): Promise<Readonly<Record<string, unknown>>> {
  const { long_factor_tensor: long, short_factor_tensor: short, ...rope } = config['rope_parameters'] as RopeParameters;
  if (typeof long !== 'string' || typeof short !== 'string') return config;
  // rounded: 30 / 104 of 104 is below 30 in floating point
  const count = Math.round((Number(config['head_dim']) * Number(rope['partial_rotary_factor'] ?? 1)) / 2);
  const checked = async (tensor: string): Promise<readonly number[]> => {
    const factors = Array.from(await read(tensor, count));
    if (factors.length !== count) {
      const found = factors.length > count ? `more than ${count}` : String(factors.length);
      throw new WebLoraError('tensor_shape', `${location}: ${tensor} has ${found} factors; rope needs ${count}.`);
    }
    const at = factors.findIndex((factor) => !(factor > 0 && Number.isFinite(factor)));
    if (at >= 0) {
      throw new WebLoraError('file_invalid', `${location}: ${tensor}[${at}] is ${factors[at]}; it must be a positive number.`);
    }
    return factors;
  };
  const longFactor = await checked(long);
  const shortFactor = short === long ? longFactor : await checked(short);
  return { ...config, rope_parameters: { ...rope, long_factor: longFactor, short_factor: shortFactor } };
}
