import type { GenerateOptions, Result, TokenLogprob } from '../../src/engine/types.ts';
import { check, type SuiteEngine } from './suite.ts';
import { checkPosition } from './tolerance.ts';

/** One request whose log-probabilities of the whole vocabulary are compared, in prefill and in decode. */
export interface Question {
  readonly where: string;
  readonly prompt: readonly number[];
  readonly adapter?: string;
  readonly maxTokens: number;
}

/** All of them in one batch. */
export function answersOf(engine: SuiteEngine, questions: readonly Question[]): Promise<Result[]> {
  const options = ({ adapter, maxTokens }: Question): GenerateOptions => ({
    ...(adapter === undefined ? {} : { adapter }),
    maxTokens,
    ignoreEos: true,
    logprobs: -1,
    promptLogprobs: -1,
  });
  return Promise.all(questions.map((question) => engine.generate(question.prompt, options(question)).result()));
}

/**
 * A position's logits by token, up to a shift: in the middle between the largest and the smallest, so that the largest magnitude is none
 * that the logits themselves do not have.
 */
function centred({ topTokens, topLogprobs }: TokenLogprob): Float32Array {
  const values = new Float32Array(topTokens.length);
  let [least, most] = [Infinity, -Infinity];
  for (const value of topLogprobs) [least, most] = [Math.min(least, value), Math.max(most, value)];
  topTokens.forEach((token, place) => (values[token] = topLogprobs[place]! - (least + most) / 2));
  return values;
}

/**
 * Answers against those of another form of the same model: every position of the prompts, and the generated ones up to the first token
 * that a margin within the tolerance decided. Returns how many positions were compared.
 */
export function checkSameLogits(
  questions: readonly Question[],
  found: readonly Result[],
  expected: readonly Result[],
  tol: number,
): number {
  let positions = 0;
  for (const [i, { where, prompt }] of questions.entries()) {
    const compare = (at: string, one: TokenLogprob, other: TokenLogprob): void => {
      const reference = centred(other);
      checkPosition(`${where}, ${at}`, centred(one), reference, reference, tol);
      positions++;
    };
    for (let position = 1; position < prompt.length; position++) {
      compare(`position ${position - 1}`, found[i]!.promptLogprobs![position]!, expected[i]!.promptLogprobs![position]!);
    }
    for (const [step, own] of found[i]!.logprobs!.entries()) {
      compare(`generated token ${step}`, own, expected[i]!.logprobs![step]!);
      if (found[i]!.tokens[step] !== expected[i]!.tokens[step]) break;
    }
  }
  check(positions > 0, () => 'nothing was compared');
  return positions;
}
