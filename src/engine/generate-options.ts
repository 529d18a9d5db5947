import { MAX_PARTS } from '../kernels/step-layout.ts';
import { invalid, isRecord, refuseUnknown, requireNumber, requireNumbers, requireOptions, requireSignal } from './option-checks.ts';
import type { Range } from './option-checks.ts';
import type { GenerateOptions } from './types.ts';

export { MAX_PARTS };

/** Every option there is, with its range where it is a number. */
const GENERATE_OPTIONS: Readonly<Record<keyof GenerateOptions, Range | undefined>> = {
  adapter: undefined,
  maxTokens: ['integer', 1],
  temperature: ['number', 0],
  topK: ['integer', -1],
  topP: ['positive', 0, 1],
  minP: ['number', 0, 1],
  repetitionPenalty: ['positive'],
  presencePenalty: ['number', -2, 2],
  frequencyPenalty: ['number', -2, 2],
  logitBias: undefined,
  seed: ['integer', 0],
  stop: undefined,
  stopTokenIds: undefined,
  ignoreEos: undefined,
  logprobs: ['integer', -1],
  promptLogprobs: ['integer', -1],
  tenant: undefined,
  priority: ['integer'],
  firstTokenDeadlineMs: ['positive'],
  cacheSalt: undefined,
  signal: undefined,
};

/** How a request's tokens are chosen, every default filled in. */
export type SamplingOptions = Required<
  Pick<GenerateOptions, 'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty' | 'presencePenalty' | 'frequencyPenalty'>
> & {
  /** Whether logits depend on the tokens so far or on a bias. */
  readonly adjusts: 'yes' | 'no';
};

/**
 * Checks what `generate` was given; `vocabSize` is the number of token ids.
 * @throws TypeError for unknown names. @throws WebLoraError `request_invalid` with `param` for values out of range.
 */
export function checkGenerateOptions(options: GenerateOptions, vocabSize: number): void {
  requireOptions('generate', options, GENERATE_OPTIONS);
  requireNumbers(options, GENERATE_OPTIONS);
  requireSignal(options.signal);
  checkAdapter(options.adapter);
  const lists = { stop: 'a list of strings that are not empty', stopTokenIds: 'a list of token ids' };
  for (const [name, expected] of Object.entries(lists)) {
    const value = options[name as keyof typeof lists];
    if (value !== undefined && !Array.isArray(value)) throw invalid(name, value, expected);
  }
  if (typeof (options.ignoreEos ?? true) !== 'boolean') throw invalid('ignoreEos', options.ignoreEos, 'true or false');
  for (const text of options.stop ?? []) {
    if (typeof text !== 'string' || text === '') throw invalid('stop', text, 'a list of strings that are not empty');
  }
  for (const id of options.stopTokenIds ?? []) requireNumber('stopTokenIds', id, ['integer', 0, vocabSize - 1]);
  for (const name of ['tenant', 'cacheSalt'] as const) {
    if (typeof (options[name] ?? '') !== 'string') throw invalid(name, options[name], 'a string');
  }
  if (options.logitBias !== undefined) checkBias(options.logitBias, vocabSize);
}

function checkAdapter(adapter: unknown): void {
  if (adapter === undefined || (typeof adapter === 'string' && adapter !== '')) return;
  if (adapter === '') throw invalid('adapter', adapter, 'an id; without one the base answers');
  if (!Array.isArray(adapter)) throw invalid('adapter', adapter, 'an id, or a list of { id, scale }');
  if (adapter.length > MAX_PARTS) throw invalid('adapter', adapter.length, `at most ${MAX_PARTS}`, 'the number of adapters');
  adapter.forEach((part: unknown, index) => {
    const place = `adapter[${index}]`;
    if (!isRecord(part)) throw invalid('adapter', part, 'an object { id, scale }', place);
    refuseUnknown(part, { id: true, scale: true }, `generate: ${place}`);
    const { id, scale } = part;
    if (typeof id !== 'string' || id === '') throw invalid('adapter', id, 'a string that is not empty', `${place}.id`);
    requireNumber('adapter', scale, ['number'], `${place}.scale`);
  });
}

function checkBias(bias: unknown, vocabSize: number): void {
  if (!isRecord(bias)) throw invalid('logitBias', bias, 'an object of numbers by token id');
  for (const [key, value] of Object.entries(bias)) {
    const id = Number(key);
    if (!Number.isInteger(id) || String(id) !== key || id < 0 || id >= vocabSize) {
      throw invalid('logitBias', key, `a token id, an integer from 0 to ${vocabSize - 1}`, 'a key of logitBias');
    }
    requireNumber('logitBias', value, ['number', -100, 100], `logitBias[${key}]`);
  }
}

/** How the tokens of a request whose options were checked are chosen. */
export function samplingOf(options: GenerateOptions): SamplingOptions {
  const { temperature = 0, topK = 0, topP = 1, minP = 0 } = options;
  const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, logitBias = {} } = options;
  const penalised = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
  const adjusts = penalised || Object.keys(logitBias).length > 0 ? 'yes' : 'no';
  return { temperature, topK: Math.max(topK, 0), topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, adjusts };
}
