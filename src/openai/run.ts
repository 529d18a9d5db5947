import { WebLoraError } from '../errors.ts';
import type { CoreEngine, Generation, ModelInfo, ModelText, Result } from '../engine/types.ts';
import type { Endpoint } from './fields.ts';
import { chooseAdapter, unknownModel } from './models.ts';
import { parseRequest } from './request.ts';
import type { ParsedRequest } from './request.ts';
import { invalid } from './values.ts';

/** How a request is served, beside what its body says. */
export interface ServeOptions {
  /** Names of the base model; default: `engine.model()`'s name and the aliases. */
  readonly baseNames?: readonly string[];
  /** More names of the base model. */
  readonly aliases?: readonly string[];
  /** Ends the request's generations; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A request whose generations were handed to the engine. */
export interface Running {
  readonly request: ParsedRequest;
  readonly info: ModelInfo;
  readonly text: ModelText;
  /** One per prompt, in the request's order. */
  readonly prompts: readonly { readonly promptTokens: readonly number[]; readonly generations: readonly Generation[] }[];
  /** Ends the generations that still run. */
  cancel(reason: unknown): void;
  /** A generation's error as the request's own. */
  explain(error: unknown): Promise<unknown>;
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
 * Checks a body and hands its prompts × n generations to the engine, all at once.
 * Throws `request_invalid`, `context_length_exceeded`, and whatever the engine throws.
 */
export async function startRequest(engine: CoreEngine, endpoint: Endpoint, body: unknown, options: ServeOptions = {}): Promise<Running> {
  options.signal?.throwIfAborted();
  const info = await engine.model();
  const request = parseRequest(endpoint, body, info);
  const bases = options.baseNames ?? [...new Set([info.name, ...(options.aliases ?? [])])];
  const param = endpoint === 'chat' ? 'messages' : 'prompt';
  const jobs = await Promise.all(request.prompts.map((prompt) => prepare(engine, prompt, request, info, param)));
  options.signal?.throwIfAborted();
  const failure = new AbortController();
  const signal = options.signal === undefined ? failure.signal : AbortSignal.any([options.signal, failure.signal]);
  const { promptLogprobs, ...shared } = { ...request.options, ...chooseAdapter(request, bases), signal };
  const generate = ({ promptTokens, maxTokens }: Job, index: number): Generation => {
    const own = { ...shared, ...(maxTokens !== undefined && { maxTokens }), seed: request.seed + index };
    // Every answer to a prompt has the same prompt log-probabilities: they are computed once.
    return engine.generate(promptTokens, index === 0 && promptLogprobs !== undefined ? { ...own, promptLogprobs } : own);
  };
  return {
    request,
    info,
    text: engine.text(),
    prompts: jobs.map((job) => ({
      promptTokens: job.promptTokens,
      generations: Array.from({ length: request.n }, (_, index) => generate(job, index)),
    })),
    cancel: (reason) => failure.abort(reason),
    explain: async (error) => {
      if (!(error instanceof WebLoraError)) return error;
      if (error.code === 'adapter_unknown') return unknownModel(engine, request, bases, error);
      if (error.param !== 'adapter') return error;
      return new WebLoraError(error.code, error.message, { cause: error, param: request.lora === undefined ? 'model' : 'lora' });
    },
  };
}

/** Waits for all answers; the first that fails cancels the others. Throws `adapter_unknown` (param `model`) and what the engine throws. */
export async function wholeAnswers(running: Running): Promise<Served> {
  const { request, info, text, prompts } = running;
  const pending = prompts.map(({ generations }) => generations.map((generation) => generation.result()));
  try {
    const results = await Promise.all(pending.map((group) => Promise.all(group)));
    const answers = results.map((group, index) => ({
      promptTokens: prompts[index]?.promptTokens ?? [],
      results: group,
      promptLogprobs: group[0]?.promptLogprobs,
    }));
    return { request, info, text, answers };
  } catch (error) {
    running.cancel(error);
    await Promise.allSettled(pending.flat());
    throw await running.explain(error);
  }
}

/** Starts a request that must be answered whole. Throws `request_invalid` (param `stream`) for any other, and what `startRequest` throws. */
export async function runWhole(engine: CoreEngine, endpoint: Endpoint, body: unknown, options: ServeOptions = {}): Promise<Served> {
  const streamed = typeof body === 'object' && body !== null && 'stream' in body && body.stream === true;
  if (streamed) throw invalid('stream', 'stream is true, and answers come whole here: leave it out or set it to false');
  return wholeAnswers(await startRequest(engine, endpoint, body, options));
}

interface Job {
  readonly promptTokens: readonly number[];
  /** Absent: the rest of the context, or of the pool where that is less. */
  readonly maxTokens: number | undefined;
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
function tokensLeft(promptLength: number, wanted: ParsedRequest['maxTokens'], context: number, param: string): number | undefined {
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
  return wanted !== undefined && 'atMost' in wanted ? Math.min(room, wanted.atMost) : undefined;
}
