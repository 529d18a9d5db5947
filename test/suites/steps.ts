import type { ItemOutput, Model } from '../../src/model/model.ts';
import type { StepItem } from '../../src/model/plan.ts';
import { GREEDY, type SamplerSettings } from '../../src/model/sampling.ts';
import { sample, type SampleInput, type Seen } from '../reference/sample.ts';
import { LLAMA } from './adapters.ts';
import { logGpu } from './device-log.ts';
import { openDirectModel, promptChunk, type DirectModel } from './direct-model.ts';
import { folder } from './fixtures.ts';
import { bits, checkSame } from './kernel-harness.ts';
import { check, type Case, type Environment } from './suite.ts';

const PROMPT: readonly number[] = Array.from({ length: 21 }, (_, i) => (i * 37 + 11) % 500);

const open = async (environment: Environment, gpu = environment.gpu): Promise<DirectModel> =>
  openDirectModel(gpu, await folder(environment, `${LLAMA}/base`), { precision: 'exact', sequences: 8, batchRows: 64, depth: 16 });

/** The whole prompt, whose last row samples. */
const first = (slot: number, sampler: SamplerSettings, prompt = PROMPT): StepItem => ({
  ...promptChunk(slot, prompt, 0, prompt.length, undefined),
  logitRows: 1,
  sampler,
});

/** The decode row behind `position` tokens. */
const next = (slot: number, position: number, sampler: SamplerSettings): StepItem => ({
  ...first(slot, sampler),
  start: position,
  count: 1,
  tokens: undefined,
});

/** A prompt and `count` decode rows behind it, all submitted before the first result is read; by step, the items' outputs. */
async function runAhead(model: Model, samplers: readonly SamplerSettings[], count: number): Promise<(readonly ItemOutput[])[]> {
  const steps = [model.submit(samplers.map((sampler, slot) => first(slot, sampler)))];
  for (let i = 0; i < count; i++) steps.push(model.submit(samplers.map((sampler, slot) => next(slot, PROMPT.length + i, sampler))));
  return Promise.all(steps);
}

/** Steps in flight count their own tokens: each one's is what bias and penalties make of its logits and of all tokens before. */
async function checkCounting(environment: Environment): Promise<void> {
  await using direct = await open(environment);
  const { model } = direct;
  await model.reserveAdjust();
  const penalties = { repetitionPenalty: 1.4, presencePenalty: 0.6, frequencyPenalty: 0.9 };
  const adjusting: SamplerSettings = { ...GREEDY, ...penalties, adjusts: 'yes' };
  const drawing: SamplerSettings = { ...adjusting, temperature: 0.8, seed: 5, topK: 30, topP: 0.9 };
  const samplers = [adjusting, drawing, GREEDY];
  const bias = { 7: 0.5, 300: -3 };
  for (const slot of samplers.keys()) direct.open(slot, 60);
  for (const slot of [0, 1]) model.setAdjust(slot, PROMPT, [3], bias);
  const steps = await runAhead(model, samplers, 12);
  for (const [slot, sampler] of samplers.entries()) {
    const generated = [3];
    for (const [i, outputs] of steps.entries()) {
      const { token, logits } = outputs[slot]!;
      const seen: Seen = { prompt: PROMPT, generated, bias };
      const input: SampleInput = {
        ...sampler,
        logits: logits[0]!,
        inverseTemperature: sampler.temperature === 0 ? 0 : 1 / sampler.temperature,
        seed: [sampler.seed, 0],
        position: PROMPT.length + i,
        ...(sampler.adjusts === 'yes' && { seen }),
      };
      const expected = sample(input)!;
      if (expected.margin > 1e-3)
        check(token === expected.token, () => `slot ${slot}, step ${i}: token ${token}, expected ${expected.token}`);
      generated.push(token as number);
    }
    const distinct = new Set(generated).size;
    check(slot === 2 || distinct > 10, () => `slot ${slot} has ${distinct} distinct tokens: ${generated.join()}`);
  }
}

const tokensOf = (steps: readonly (readonly ItemOutput[])[], slot: number) => steps.map((outputs) => outputs[slot]!.token);

/** Behind an end token rows are inert, those beside them are as they are without, and the slot starts again with a prompt. */
async function checkInert(environment: Environment): Promise<void> {
  await using direct = await open(environment);
  const { model } = direct;
  for (const slot of [0, 1]) direct.open(slot, 60);
  const drawing: SamplerSettings = { ...GREEDY, temperature: 1.5, seed: 9 };
  const free = await runAhead(model, [drawing, GREEDY], 8);
  const tokens = tokensOf(free, 0) as number[];
  const end = tokens[3]!;
  const ends = tokens.indexOf(end);
  const ended = await runAhead(model, [{ ...drawing, endTokens: [600, end] }, GREEDY], 8);
  const expected = tokens.map((token, i) => (i <= ends ? token : 'inert'));
  check(tokensOf(ended, 0).join() === expected.join(), () => `tokens ${tokensOf(ended, 0).join()}, expected ${expected.join()}`);
  for (const [i, outputs] of ended.entries()) {
    checkSame(
      `logits beside inert rows, step ${i}`,
      bits(outputs[1]!.logits[0]! as Float32Array<ArrayBuffer>),
      bits(free[i]![1]!.logits[0]! as Float32Array<ArrayBuffer>),
    );
    for (const logit of outputs[0]!.logits[0]!) check(Number.isFinite(logit), () => `step ${i}: an inert row has a logit of ${logit}`);
  }
  const again = await runAhead(model, [drawing, GREEDY], 3);
  check(tokensOf(again, 0).join() === tokens.slice(0, 4).join(), () => `the slot's next owner has tokens ${tokensOf(again, 0).join()}`);
}

/** A block table that is written in pieces is the same table. */
async function checkPages(environment: Environment): Promise<void> {
  await using direct = await open(environment);
  const { model } = direct;
  const pages = direct.open(0, 60);
  const [whole] = await model.submit([first(0, GREEDY)]);
  direct.open(1, 60);
  model.setPages(2, 0, [pages[0]!]);
  await model.submit([{ ...first(2, GREEDY), count: 16, tokens: PROMPT.slice(0, 16), sampler: undefined }]);
  model.setPages(2, 1, pages.slice(1));
  const [pieces] = await model.submit([{ ...first(2, GREEDY), start: 16, count: PROMPT.length - 16, tokens: PROMPT.slice(16) }]);
  checkSame('logits', bits(pieces!.logits[0]! as Float32Array<ArrayBuffer>), bits(whole!.logits[0]! as Float32Array<ArrayBuffer>));
}

/** What a step dispatches depends on the options of its samplers and not on how many have them; no step makes anything. */
async function checkDispatches(environment: Environment): Promise<void> {
  const gpu = logGpu(environment.gpu);
  await using direct = await open(environment, gpu);
  const { model } = direct;
  await model.reserveAdjust();
  for (const slot of [0, 1, 2]) {
    direct.open(slot, 60);
    model.setAdjust(slot, PROMPT, [], {});
  }
  await model.submit([0, 1, 2].map((slot) => first(slot, GREEDY)));
  const warm: SamplerSettings = { ...GREEDY, temperature: 1 };
  const digits = (count: number): string[] => ['sample-extremes', ...Array.from({ length: count }, () => 'sample-digit')];
  const kinds: readonly (readonly [SamplerSettings, readonly string[]])[] = [
    [GREEDY, []],
    [{ ...GREEDY, topK: 3, topP: 0.5, minP: 0.5 }, []],
    [{ ...GREEDY, adjusts: 'yes', repetitionPenalty: 2 }, []],
    [{ ...warm, minP: 0.1 }, digits(1)],
    [{ ...warm, topK: 5 }, digits(4)],
    [{ ...warm, topP: 0.9 }, digits(4)],
    [{ ...warm, topK: 5, topP: 0.9 }, digits(7)],
  ];
  const before = gpu.submits.at(-1)!;
  let position = PROMPT.length;
  for (const [sampler, more] of kinds) {
    for (const items of [
      [sampler, GREEDY, GREEDY],
      [sampler, sampler, sampler],
    ]) {
      await model.submit(items.map((each, slot) => ({ ...next(slot, position, each), logits: 'stay' })));
      const { dispatches, made } = gpu.submits.at(-1)!;
      const found = dispatches.filter((label) => label.startsWith('sample')).join();
      const expected = [...more, 'sample-chunk', 'sample-merge'].join();
      check(found === expected, () => `${JSON.stringify(sampler)}: ${found}, expected ${expected}`);
      check(
        JSON.stringify(made) === JSON.stringify(before.made),
        () => `a step made ${JSON.stringify(made)}, before ${JSON.stringify(before.made)}`,
      );
      position++;
    }
  }
}

function refuses(what: string, act: () => unknown): void {
  try {
    act();
  } catch (error) {
    check(error instanceof RangeError, () => `${what}: threw ${String(error)}`);
    return;
  }
  throw new Error(`${what}: was accepted`);
}

async function checkRefusals(environment: Environment): Promise<void> {
  await using direct = await open(environment);
  const { model } = direct;
  const adjusting: SamplerSettings = { ...GREEDY, adjusts: 'yes' };
  check(model.adjustRows === 8, () => `${model.adjustRows} rows for 8 sequences`);
  refuses('penalties before reserveAdjust', () => model.submit([first(0, adjusting)]));
  refuses('setAdjust before reserveAdjust', () => model.setAdjust(0, [], [], {}));
  await Promise.all([model.reserveAdjust(), model.reserveAdjust(), model.reserveRank(128)]);
  model.setAdjust(7, [511], [0], { 3: 1 });
  refuses('a slot without a row', () => model.setAdjust(8, [], [], {}));
  refuses('a token outside the vocabulary', () => model.setAdjust(0, [], [], { 512: 1 }));
  const part = { slot: 1, scale: 1, rank4: 8 };
  refuses('nine adapters', () => model.submit([{ ...first(0, GREEDY), parts: Array.from({ length: 9 }, () => part) }]));
  refuses('more pages than a sequence has', () => model.setPages(0, 31, [1, 2]));
}

/** Steps of a model without an engine: what they leave on the GPU for those behind them. */
export function stepCases(environment: Environment): Case[] {
  return [
    { name: 'steps in flight: bias and penalties count every token before', run: () => checkCounting(environment) },
    { name: 'steps in flight: rows behind an end token are inert', run: () => checkInert(environment) },
    { name: 'pages of a sequence are told in pieces', run: () => checkPages(environment) },
    { name: 'sampler options decide what a step dispatches', run: () => checkDispatches(environment) },
    { name: 'what a model can not do is refused', run: () => checkRefusals(environment) },
  ];
}
