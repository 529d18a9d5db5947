import { createStream } from '../../src/engine/stream.ts';
import type { CoreEngine, GenerateOptions, Prompt, Result, TokenLogprob } from '../../src/engine/types.ts';
import { WebLoraError } from '../../src/errors.ts';
import { adapterIds, byteTokenizer, END, fakeEngine, logprobAt, nameOf } from './fake-engine.ts';
import type { FakeOptions } from './fake-engine.ts';

/** A request that the stepper runs; a step of it tells one token. */
interface Job {
  readonly options: GenerateOptions;
  step(): void;
  state: 'running' | 'over';
}

export interface Stepper extends CoreEngine {
  readonly jobs: readonly Job[];
  /** What reached the engine, in order. */
  readonly log: readonly string[];
  /** One token for every request that runs; after it, what waits for tokens has had its turn. */
  step(): Promise<void>;
}

/** A turn of everything that waits for promises only. */
export const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** The fake engine with generations that begin at the call and go on a token at a time, as the real one's do. */
export function stepper(options: FakeOptions & { readonly fails?: (request: number) => number | undefined } = {}): Stepper {
  const fake = fakeEngine(options);
  const jobs: Job[] = [];
  const log: string[] = [];
  const adapters = { ...fake.adapters };
  for (const name of ['add', 'load', 'pin', 'unpin', 'unload', 'remove'] as const) {
    adapters[name] = async (id: string, ...rest: never[]): Promise<never> => {
      log.push(`${name} ${id}`);
      return (fake.adapters[name] as (id: string, ...rest: never[]) => Promise<never>)(id, ...rest);
    };
  }
  const generate = (prompt: Prompt, asked: GenerateOptions = {}): ReturnType<CoreEngine['generate']> => {
    log.push(`generate ${nameOf(asked)}`);
    const answer = [...new TextEncoder().encode(options.answers?.[nameOf(asked)] ?? `#${asked.seed}`), END];
    const cachedTokens = options.cached?.(jobs.length) ?? 0;
    const failsAt = options.fails?.(jobs.length);
    const tokens: number[] = [];
    const logprobs: TokenLogprob[] = [];
    // Holds a part of a code point back, as the detokenizer does.
    const decoder = new TextDecoder();
    const stream = createStream((reason) => over(() => stream.fail(reason)));
    const over = (tell: () => void): void => {
      job.state = 'over';
      tell();
    };
    const job: Job = {
      options: asked,
      state: 'running',
      step() {
        if (tokens.length === failsAt) return over(() => stream.fail(new WebLoraError('not_finite', 'logits are not finite')));
        const token = answer[tokens.length]!;
        const logprob = logprobAt(token, tokens.length, Math.max(asked.logprobs ?? 0, 0));
        tokens.push(token);
        logprobs.push(logprob);
        const ended = token === END || tokens.length === asked.maxTokens;
        const usage = { promptTokens: (prompt as readonly number[]).length, cachedTokens, completionTokens: tokens.length };
        const finish = token === END ? 'stop' : 'length';
        const text = token === END ? '' : decoder.decode(Uint8Array.of(token), { stream: true });
        const told = asked.logprobs === undefined ? {} : { logprobs: [logprob] };
        stream.push({ text, tokens: [token], ...told, ...(ended ? { finish, usage } : {}) });
        if (!ended) return;
        const result: Result = {
          text: byteTokenizer.decode(tokens),
          tokens,
          promptTokens: prompt as readonly number[],
          finish,
          usage,
          ...(asked.logprobs === undefined ? {} : { logprobs }),
        };
        over(() => stream.end(result));
      },
    };
    asked.signal?.addEventListener('abort', () => over(() => stream.fail(asked.signal?.reason)));
    jobs.push(job);
    void fake.adapters.list().then((known) => {
      if (adapterIds(asked).every((asked) => known.some(({ id }) => id === asked))) return;
      over(() => stream.fail(new WebLoraError('adapter_unknown', `no ${nameOf(asked)}`)));
    });
    return stream.generation;
  };
  return {
    ...fake,
    adapters,
    generate,
    jobs,
    log,
    step: async () => {
      for (const job of jobs) if (job.state === 'running') job.step();
      await turn();
    },
  };
}
