import type { GenerateOptions, ModelInfo } from '../engine/types.ts';
import { field, integerField, invalid, numberField, positiveField, shown } from './values.ts';
import type { Body } from './values.ts';

/** How tokens are chosen. */
export type Sampling = Pick<
  GenerateOptions,
  'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty' | 'presencePenalty' | 'frequencyPenalty' | 'logitBias'
>;

/**
 * The fields that say how tokens are chosen; where one is absent the model's own default counts, as in vLLM.
 * Throws `request_invalid` whose `param` names the field that is out of its range.
 */
export function parseSampling(body: Body, { config, defaults }: ModelInfo): Sampling {
  const given = {
    topK: integerField(body, 'top_k', -1, Number.MAX_SAFE_INTEGER),
    topP: positiveField(body, 'top_p', 1),
    minP: numberField(body, 'min_p', 0, 1),
    repetitionPenalty: positiveField(body, 'repetition_penalty'),
    presencePenalty: numberField(body, 'presence_penalty', -2, 2),
    frequencyPenalty: numberField(body, 'frequency_penalty', -2, 2),
    logitBias: parseLogitBias(body, config.vocabSize),
  };
  const asked = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...defaults, temperature: numberField(body, 'temperature', 0, 2) ?? defaults.temperature ?? 1, ...Object.fromEntries(asked) };
}

function parseLogitBias(body: Body, vocabSize: number): Sampling['logitBias'] {
  const value = field(body, 'logit_bias');
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw invalid('logit_bias', `logit_bias must be an object of numbers by token id, not ${shown(value)}`);
  }
  for (const [key, bias] of Object.entries(value as object)) {
    if (!/^(0|[1-9]\d*)$/.test(key) || Number(key) >= vocabSize) {
      throw invalid('logit_bias', `a key of logit_bias must be a token id, an integer from 0 to ${vocabSize - 1}, not ${shown(key)}`);
    }
    if (typeof bias !== 'number' || !(bias >= -100 && bias <= 100)) {
      throw invalid('logit_bias', `logit_bias[${shown(key)}] must be a number from -100 to 100, not ${shown(bias)}`);
    }
  }
  return value as Record<number, number>;
}
