import { adjusted, sample, type Seen } from '../reference/sample.ts';
import { checkSame, uniform } from './kernel-harness.ts';
import type { Floats } from './kernel-harness.ts';
import { greedy, runSampling, scoresOf, twinInput, type SampleHarness, type Sampling } from './kernel-sampling.ts';
import type { StepSampler } from './kernel-step.ts';
import { check, type Case } from './suite.ts';

const NOTHING: Seen = { prompt: [], generated: [], bias: {} };

/** Bias and each penalty alone, then together; every one changes who is first. */
const SEEN: Readonly<Record<number, Seen>> = {
  1: { ...NOTHING, bias: { 3: 1, 250: -100 } },
  2: { ...NOTHING, bias: { 0: 100, 254: -100 } },
  3: { prompt: [2, 3, 90], generated: [], bias: {} },
  4: { prompt: [2], generated: [2, 3, 3, 3, 17], bias: {} },
  5: { prompt: [5, 2], generated: [2, 2, 3], bias: {} },
  8: { prompt: [], generated: [2, 2, 2, 3, 17, 90], bias: {} },
  6: { prompt: [2, 2], generated: [3, 2, 3, 17, 17, 17], bias: { 2: 2.5, 3: -1, 17: 30 } },
};

const PENALTIES: Readonly<Record<number, Partial<StepSampler>>> = {
  1: {},
  2: { repetitionPenalty: 2 },
  3: { repetitionPenalty: 1.7 },
  4: { frequencyPenalty: 1.5, presencePenalty: -0.25 },
  5: { presencePenalty: 2 },
  8: { frequencyPenalty: 0.5 },
  6: { repetitionPenalty: 1.2, frequencyPenalty: 0.6, presencePenalty: 0.4 },
};

/** Logits whose first tokens are the seen ones, some of them below zero. */
function rowsOf(vocabulary: number): Floats[] {
  return [0, -20].map((shift) => {
    const row = uniform(vocabulary)(vocabulary, 3).map((value) => Math.fround(value + shift));
    for (const [token, value] of [
      [2, 4.5],
      [3, 4.25],
      [17, 4],
      [90, 3.5],
    ] as const) {
      if (token < vocabulary) row[token] = value + shift;
    }
    return row;
  });
}

const within = (seen: Seen, vocabulary: number): Seen => ({
  prompt: seen.prompt.filter((token) => token < vocabulary),
  generated: seen.generated.filter((token) => token < vocabulary),
  bias: Object.fromEntries(Object.entries(seen.bias).filter(([token]) => Number(token) < vocabulary)),
});

async function checkPenalties(harness: SampleHarness, vocabulary: number): Promise<void> {
  const slots = Object.keys(SEEN).map(Number);
  const seen = Object.fromEntries(slots.map((slot) => [slot, within(SEEN[slot]!, vocabulary)]));
  const logits = rowsOf(vocabulary);
  for (const [i, drawing] of [
    {},
    { inverseTemperature: 1, seed: [5, 6] as const, position: 2 },
    { inverseTemperature: 1, topK: 2, seed: [8, 6] as const },
    { inverseTemperature: Math.fround(1.4), topP: 0.6, seed: [9, 6] as const },
  ].entries()) {
    const samplers = [0, 1].flatMap((row) =>
      slots.map((slot): StepSampler => ({ ...greedy(row, slot), adjusts: 'yes', ...PENALTIES[slot], ...drawing })),
    );
    for (const half of [samplers.slice(0, slots.length), samplers.slice(slots.length)]) {
      // beside one whose slot has a row of poison, which it does not read
      const sampling: Sampling = { vocabulary, logits, samplers: [...half, greedy(0, 7)], seen };
      const { ids } = await runSampling(harness, sampling);
      for (const [at, sampler] of half.entries()) {
        const { token, margin } = sample(twinInput(sampling, sampler))!;
        if (margin > 1e-4) checkSame(`${vocabulary} tokens, drawing ${i}, slot ${sampler.stateSlot}`, [ids[at]!], [token]);
      }
      checkSame('the sampler without adjustments', [ids[half.length]!], [logits[0]!.indexOf(Math.max(...logits[0]!))]);
    }
  }
}

/** What the twin makes of each of these differs from what it makes without it. */
function checkTwin(): void {
  const vocabulary = 257;
  const logits = rowsOf(vocabulary)[0]!;
  for (const slot of Object.keys(SEEN).map(Number)) {
    const input = { ...greedy(0, slot), ...PENALTIES[slot], logits, seen: SEEN[slot]! };
    const { token } = sample(input)!;
    check(token !== 2, () => `slot ${slot}: nothing changes`);
  }
  const seen = { prompt: [0, 1], generated: [1, 2, 2], bias: { 3: 1, 4: -1 } };
  const values = adjusted({
    ...greedy(0, 0),
    logits: [3, -3, 2, 0, 0, 7],
    seen,
    repetitionPenalty: 2,
    presencePenalty: 0.5,
    frequencyPenalty: 0.25,
  });
  checkSame('the twin of bias and penalties', values, [1.5, -6 - 0.75, 1 - 1, 1, -1, 7]);
}

/** The largest bias and penalties that a record holds leave every score finite. */
async function checkEnds(harness: SampleHarness): Promise<void> {
  const vocabulary = 10;
  const logits = [uniform(1)(vocabulary, 3e38), uniform(2)(vocabulary, 30)];
  const seen = Object.fromEntries(
    [0, 1, 2, 3].map((slot) => [slot, { prompt: [0, 1, 2], generated: [2, 2, 3, 4, 5], bias: { 0: 100, 7: -100 } }]),
  );
  for (const drawing of [{}, { inverseTemperature: Math.fround(1e5), topK: 5, topP: 0.99, minP: 1e-9 }]) {
    const samplers = [1, -1].flatMap((sign, i) =>
      [0, 1].map((logitRow): StepSampler => ({
        ...greedy(logitRow, 2 * i + logitRow),
        adjusts: 'yes',
        repetitionPenalty: sign > 0 ? Math.fround(1e12) : Math.fround(1e-12),
        presencePenalty: sign * Math.fround(1e20),
        frequencyPenalty: sign * Math.fround(1e20),
        ...drawing,
      })),
    );
    const { ids, best } = await runSampling(harness, { vocabulary, logits, samplers, seen });
    for (const [i, id] of ids.subarray(0, 4).entries()) {
      const allowed = i < 2 ? [0, 1, 6, 7, 8, 9] : [0, 1, 2, 3, 4, 5];
      check(allowed.includes(id), () => `sampler ${i} took token ${id}, expected one of ${allowed.join()}`);
      const [score] = scoresOf(best, i, 1);
      check(Math.abs(score!) < 3e38, () => `sampler ${i} has a score of ${score}`);
    }
  }
}

/** Bias and penalties, counted where a token is taken. */
export function adjustCases(harness: () => Promise<SampleHarness>): Case[] {
  const cases: Case[] = [1, 3, 255, 257, 1000].map((vocabulary) => ({
    name: `sampling from ${vocabulary} tokens with bias and penalties, alone and together`,
    run: async () => checkPenalties(await harness(), vocabulary),
  }));
  cases.push({ name: 'sampling with bias and penalties: what the twin says', run: async () => checkTwin() });
  cases.push({ name: 'sampling with the largest bias and penalties', run: async () => checkEnds(await harness()) });
  return cases;
}
