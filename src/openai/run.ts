import { WebLoraError } from '../errors.ts';
import type { CoreEngine, GenerateOptions, ModelInfo, ModelText, Result } from '../engine/types.ts';
import type { Endpoint } from './fields.ts';
import { chooseModel, unknownModel } from './models.ts';
import { parseRequest } from './request.ts';
import type { ParsedRequest } from './request.ts';
import { invalid } from './values.ts';

/** How a request is served, beside what its body says. */
export interface ServeOptions {
  /** Names of the base model; default: `engine.model()`'s name. */
  readonly baseNames?: readonly string[];
  /** Ends the request's generations; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** One prompt's answers. */
export interface Answers {
  readonly promptTokens: readonly number[];
  readonly results: readonly Result[];
  /** From the first of the results: they are the same for all. */
  readonly promptLogprobs: Result['promptLogprobs'];
}

/** A request that ran. */
export interface Served {
  readonly request: ParsedRequest;
  readonly info: ModelInfo;
  readonly text: ModelText;
  /** One per prompt, in the request's order. */
  readonly answers: readonly Answers[];
}

/**
 * Checks a body and runs its prompts × n generations at once; the first that fails cancels the others.
 * Throws `request_invalid`, `context_length_exceeded`, `adapter_unknown` (param `model`), and whatever the engine throws.
 */
export async function runRequest(engine: CoreEngine, endpoint: Endpoint, body: unknown, options: ServeOptions = {}): Promise<Served> {
  options.signal?.throwIfAborted();
  const info = await engine.model();
  const request = parseRequest(endpoint, body, info);
  const bases = options.baseNames ?? [info.name];
  const choice = chooseModel(request.model, bases);
  const param = endpoint === 'chat' ? 'messages' : 'prompt';
  try {
    const jobs = await Promise.all(request.prompts.map((prompt) => prepare(engine, prompt, request, info, param)));
    const answers = await runTogether(engine, jobs, { ...request.options, ...choice }, request, options.signal);
    return { request, info, text: engine.text(), answers };
  } catch (error) {
    if (error instanceof WebLoraError && error.code === 'adapter_unknown') throw await unknownModel(engine, request.model, bases);
    throw error;
  }
}

interface Job {
  readonly promptTokens: readonly number[];
  readonly maxTokens: number;
}

async function prepare(
  engine: CoreEngine,
  prompt: ParsedRequest['prompts'][number],
  request: ParsedRequest,
  info: ModelInfo,
  param: string,
): Promise<Job> {
  const promptTokens = await engine.tokenize(prompt);
  if (promptTokens.length === 0) throw invalid(param, `${param} is empty: at least one token is needed to go on from`);
  return { promptTokens, maxTokens: tokensLeft(promptTokens.length, request.maxTokens, info.maxModelLength, param) };
}

/** How many tokens may be generated. Throws `context_length_exceeded` with the numbers where there is no room. */
function tokensLeft(promptLength: number, wanted: ParsedRequest['maxTokens'], context: number, param: string): number {
  const explicit = wanted !== undefined && 'explicit' in wanted ? wanted.explicit : undefined;
  const room = context - promptLength;
  if (room < (explicit ?? 1)) {
    const asked = explicit === undefined ? '' : ` and max_tokens asks for ${explicit} more`;
    throw new WebLoraError(
      'context_length_exceeded',
      `the context is ${context} tokens: ${param} has ${promptLength}${asked}, which leaves no room; shorten ${param}${explicit === undefined ? '' : ' or lower max_tokens'}`,
      { param },
    );
  }
  if (explicit !== undefined) return explicit;
  return wanted === undefined ? room : Math.min(room, 'atMost' in wanted ? wanted.atMost : room);
}

async function runTogether(
  engine: CoreEngine,
  jobs: readonly Job[],
  options: GenerateOptions,
  request: ParsedRequest,
  outer: AbortSignal | undefined,
): Promise<readonly Answers[]> {
  const failure = new AbortController();
  const signal = outer === undefined ? failure.signal : AbortSignal.any([outer, failure.signal]);
  const { promptLogprobs, ...shared } = options;
  const running = jobs.map((job) =>
    Array.from({ length: request.n }, async (_, index) => {
      const own = { ...shared, maxTokens: job.maxTokens, seed: request.seed + index, signal };
      // Every answer to a prompt has the same prompt log-probabilities: they are computed once.
      const first = index === 0 && promptLogprobs !== undefined ? { ...own, promptLogprobs } : own;
      return engine.generate(job.promptTokens, first).result();
    }),
  );
  try {
    const results = await Promise.all(running.map((group) => Promise.all(group)));
    return results.map((group, index) => ({
      promptTokens: jobs[index]?.promptTokens ?? [],
      results: group,
      promptLogprobs: group[0]?.promptLogprobs,
    }));
  } catch (error) {
    failure.abort(error);
    await Promise.allSettled(running.flat());
    throw error;
  }
}
