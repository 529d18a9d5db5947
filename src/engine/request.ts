import { WebLoraError } from '../errors.ts';
import type { ItemOutput } from '../model/model.ts';
import type { SamplerSettings } from '../model/sampling.ts';
import { createDetokenizer, type Detokenizer } from '../text/detokenizer.ts';
import { createStopMatcher, type StopMatcher } from '../text/stop.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { tokenLogprob } from './logprobs.ts';
import { createSequence, type Sequence, type SequencePart } from './sequence.ts';
import type { Stream } from './stream.ts';
import { samplingOf } from './generate-options.ts';
import type { Finish, GenerateOptions, Result, TokenLogprob } from './types.ts';

/** One open call of `generate`: its sequence, what it turned into so far, and its reader. */
export interface Request {
  readonly sequence: Sequence;
  /** The adapter as the caller named it; '' is the base, a blend is `a+b`. */
  readonly adapterId: string;
  readonly sampler: SamplerSettings;
  readonly bias: Readonly<Record<number, number>>;
  readonly stream: Stream;
  /** When its latest token was committed, in milliseconds. */
  tokenAt: number | undefined;
  /** Whether the logits of these rows must come back to JS (`read`) or only feed the sampler. */
  logitsOf(kind: 'prefill' | 'decode', samples: boolean): 'read' | 'stay';
  /**
   * Takes what a step computed for this request's rows from `start` on, and has its token, if one, committed; returns how the request
   * finished, or that it is still open.
   * @throws WebLoraError `not_finite` where its logits were NaN or infinite.
   */
  take(start: number, count: number, output: ItemOutput, commit: (token: number | undefined) => void): 'open' | Finish;
}

export interface RequestParts {
  readonly id: number;
  readonly prompt: readonly number[];
  /** Its adapters by their keys. */
  readonly parts: readonly SequencePart[];
  /** When it came, in milliseconds. */
  readonly arrival: number;
  readonly options: GenerateOptions;
  readonly contextLength: number;
  readonly endTokens: ReadonlySet<number>;
  readonly tokenizer: Tokenizer | undefined;
  readonly stream: Stream;
}

/** A random seed for a request that named none: 32 bits are enough to tell requests apart. */
function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/**
 * @throws WebLoraError `context_length_exceeded` where prompt and answer do not fit, `tokenizer_missing` where texts are to end an answer
 * that has none.
 */
export function createRequest(parts: RequestParts): Request {
  const { id, prompt, options, contextLength, stream, arrival, tokenizer } = parts;
  if (!tokenizer && (options.stop ?? []).length > 0) {
    const message = 'stop needs text, and this model came without a tokenizer: use stopTokenIds';
    throw new WebLoraError('tokenizer_missing', message, { param: 'stop' });
  }
  const room = contextLength - prompt.length;
  const { maxTokens = room, seed = drawSeed(), logprobs, promptLogprobs, firstTokenDeadlineMs: patience } = options;
  if (maxTokens > room || room < 1) {
    const asked = options.maxTokens === undefined ? 'at least 1 to generate' : `${maxTokens} to generate`;
    throw new WebLoraError(
      'context_length_exceeded',
      `The context holds ${contextLength} tokens; the prompt has ${prompt.length} and ${asked} were asked for`,
      { param: room < 1 ? 'prompt' : 'maxTokens' },
    );
  }
  const sampling = samplingOf(options);
  const sequence = createSequence({
    id,
    prompt,
    maxTokens,
    parts: parts.parts,
    arrival,
    logits: promptLogprobs === undefined ? 'sampled' : 'prompt',
    length: options.maxTokens === undefined ? 'room' : 'asked',
    tenant: options.tenant ?? '',
    priority: options.priority ?? 0,
    deadline: patience === undefined ? undefined : arrival + patience,
    cacheSalt: options.cacheSalt ?? '',
    slots: sampling.adjusts === 'yes' ? 'adjusted' : 'any',
  });
  const adapterId = adapterName(options.adapter);
  const answer = createAnswer(parts, sequence);
  const prompts: (TokenLogprob | undefined)[] = [undefined];

  const take: Request['take'] = (start, count, output, commit) => {
    if (output.token === 'poisoned' || output.logits.some(notFinite)) {
      const what = adapterId === '' ? 'The base model' : `Adapter "${adapterId}"`;
      throw new WebLoraError('not_finite', `${what} computed NaN or infinity for this request; nothing it answers can be trusted`);
    }
    const first = start + count - output.logits.length;
    if (promptLogprobs !== undefined) {
      for (const [i, row] of output.logits.entries()) {
        const next = prompt[first + i + 1];
        if (next !== undefined) prompts[first + i + 1] = tokenLogprob(row, next, promptLogprobs);
      }
    }
    const token = output.token === 'inert' ? undefined : output.token;
    commit(token);
    if (token === undefined) return 'open';
    const logprob = logprobs === undefined ? undefined : tokenLogprob(output.logits.at(-1)!, token, logprobs);
    const finish = answer.add(token, logprob, sequence.generated.length === sequence.maxTokens);
    if (!finish) return 'open';
    stream.end(answer.result(finish, promptLogprobs === undefined ? undefined : prompts));
    return finish.finish;
  };
  const logitsOf: Request['logitsOf'] = (kind, samples) =>
    (samples && logprobs !== undefined) || (kind === 'prefill' && promptLogprobs !== undefined) ? 'read' : 'stay';
  const endTokens = [...(options.ignoreEos === true ? [] : parts.endTokens), ...(options.stopTokenIds ?? [])];
  const sampler = { ...sampling, seed, endTokens };
  return { sequence, adapterId, sampler, bias: options.logitBias ?? {}, stream, tokenAt: undefined, logitsOf, take };
}

/** An adapter as events name it. */
export function adapterName(adapter: GenerateOptions['adapter'] = ''): string {
  return typeof adapter === 'string' ? adapter : adapter.map(({ id }) => id).join('+');
}

const EXPONENT = 0x7f800000;

function notFinite(row: Float32Array): boolean {
  const bits = new Uint32Array(row.buffer, row.byteOffset, row.length);
  return bits.some((word) => (word & EXPONENT) === EXPONENT);
}

interface Ending {
  readonly finish: Finish;
  readonly stopReason: string | number | undefined;
}

interface Answer {
  /** Adds a token, sends the chunk, and says how the answer ends where it does. */
  add(token: number, logprob: TokenLogprob | undefined, last: boolean): Ending | undefined;
  result(ending: Ending, promptLogprobs: readonly (TokenLogprob | undefined)[] | undefined): Result;
}

/** Turns tokens into text, stops at end tokens and stop strings, and feeds the reader. */
function createAnswer({ prompt, options, endTokens, tokenizer, stream }: RequestParts, sequence: Sequence): Answer {
  const detokenizer: Detokenizer | undefined = tokenizer && createDetokenizer(tokenizer);
  const matcher: StopMatcher = createStopMatcher(options.stop ?? []);
  const stopIds = new Set(options.stopTokenIds);
  const tokens: number[] = [];
  const logprobs: TokenLogprob[] = [];
  let text = '';

  const usage = (): Result['usage'] => ({
    promptTokens: prompt.length,
    cachedTokens: sequence.cached,
    completionTokens: tokens.length,
  });
  /** The token's new text, and how it ends the answer where it does. */
  const read = (token: number, last: boolean): { shown: string; ending: Ending | undefined } => {
    const isStop = stopIds.has(token);
    const isEnd = isStop || (endTokens.has(token) && options.ignoreEos !== true);
    const fresh = isEnd ? '' : (detokenizer?.push([token]) ?? '');
    if (!isEnd && !last) {
      const { text: shown, stop } = matcher.push(fresh);
      return { shown, ending: stop === undefined ? undefined : { finish: 'stop', stopReason: stop } };
    }
    const safe = matcher.push(fresh + (detokenizer?.flush() ?? ''));
    const held = safe.stop === undefined ? matcher.flush() : { text: '', stop: safe.stop };
    const shown = safe.text + held.text;
    if (held.stop !== undefined) return { shown, ending: { finish: 'stop', stopReason: held.stop } };
    if (isEnd) return { shown, ending: { finish: 'stop', stopReason: isStop ? token : undefined } };
    return { shown, ending: { finish: 'length', stopReason: undefined } };
  };
  return {
    add: (token, logprob, last) => {
      tokens.push(token);
      if (logprob) logprobs.push(logprob);
      const { shown, ending } = read(token, last);
      text += shown;
      stream.push({
        text: shown,
        tokens: [token],
        ...(logprob && { logprobs: [logprob] }),
        ...(ending && { finish: ending.finish, usage: usage() }),
      });
      return ending;
    },
    result: ({ finish, stopReason }, promptLogprobs) => ({
      text,
      tokens,
      promptTokens: [...prompt],
      finish,
      ...(stopReason !== undefined && { stopReason }),
      usage: usage(),
      ...(options.logprobs !== undefined && { logprobs }),
      ...(promptLogprobs && { promptLogprobs }),
    }),
  };
}
