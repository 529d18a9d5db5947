import { defineKernel } from '../../src/gpu/kernel.ts';
import { PHILOX } from '../../src/kernels/libraries.ts';
import { POISONED } from '../../src/kernels/step-layout.ts';
import gridLibrary from '../../shaders/lib/grid.wgsl?raw';
import { philox, PHILOX_ANSWERS } from '../reference/philox.ts';
import { gumbel, sample } from '../reference/sample.ts';
import { bits, checkSame, poison, uniform } from './kernel-harness.ts';
import type { Floats, Harness } from './kernel-harness.ts';
import { chunkOf, chunksOf, greedy, runMerge, runSampling, scoresOf, STATE_SLOTS, type SampleHarness } from './kernel-sampling.ts';
import { floatBits, type StepSampler } from './kernel-step.ts';
import gridProbe from './probes/grid.wgsl?raw';
import philoxProbe from './probes/philox.wgsl?raw';
import { check, type Case } from './suite.ts';

/** Logits of few different values, so that most rows have ties; `best` tokens share the largest. */
function tied(vocabulary: number, best: readonly number[], seed: number): Floats {
  const values = uniform(seed)(vocabulary, 3).map((value) => Math.round(value) - 10);
  for (const token of best) values[token] = -6;
  return values;
}

async function checkGreedy(harness: SampleHarness, vocabulary: number): Promise<void> {
  const last = vocabulary - 1;
  const tops = [[0, last], [last], [2, 3, 5], [last - 1, last], [255, 256].filter((token) => token < vocabulary), []];
  const logits = tops.map((best, i) => tied(vocabulary, best, i));
  const samplers = [greedy(3, 5), greedy(0, 2), greedy(5, 0), greedy(1, 11), greedy(2, 7), greedy(4, 1), greedy(0, 3)];
  const { ids } = await runSampling(harness, { vocabulary, logits, samplers });
  for (const [i, { logitRow }] of samplers.entries()) {
    const row = logits[logitRow]!;
    checkSame(`greedy token of row ${logitRow} of ${vocabulary}`, [ids[i]!], [row.indexOf(Math.max(...row))]);
  }
}

async function checkPoison(harness: SampleHarness, inverseTemperature: number): Promise<void> {
  const vocabulary = 1003;
  const bad = [0x7fc00000, 0x7f800001, 0x7f800000, 0xff800000, 0xffffffff];
  const places = [0, 1002, 517, 255, 256];
  const logits = [...bad.map((_, i) => tied(vocabulary, [40], i)), tied(vocabulary, [40], 9)];
  for (const [i, word] of bad.entries()) bits(logits[i]!)[places[i]!] = word;
  const samplers = logits.map((_, row) => ({ ...greedy(row, row), inverseTemperature, seed: [1, 2] as const, position: 3 }));
  const { ids, state } = await runSampling(harness, { vocabulary, logits, samplers });
  checkSame(
    'ids of rows that are not finite',
    ids.subarray(0, bad.length),
    bad.map(() => POISONED),
  );
  check(ids[bad.length]! < vocabulary, () => `the finite row has id ${ids[bad.length]}`);
  for (let row = 0; row < bad.length; row++)
    check(state[2 * row]! < vocabulary, () => `the state slot of a bad row holds ${state[2 * row]}`);
}

/** Score bits, token and poison of one chunk. */
const candidate = (score: number, token: number, poisoned: number): number[] => [floatBits(score), token, poisoned, 0];

async function checkMerge(harness: SampleHarness): Promise<void> {
  const samplers = [greedy(0, 3), greedy(1, 0), greedy(2, 9), greedy(3, 4)];
  const best = poison(5 * 3 * 4, 'output');
  const each = chunkOf(harness.sampler.chunk.kernel);
  const [first, second, third] = [7, each + 44, 2 * each + 88];
  const rows = [
    [candidate(-2, first, 0), candidate(-1, second, 0), candidate(-1, third, 0)], // a tie goes to the earlier chunk
    [candidate(-1, first, 0), candidate(-1.5, second, 0), candidate(-3, third, 0)],
    [candidate(1, first, 0), candidate(2, second, 0), candidate(1e30, third, 0)],
    [candidate(1, first, 0), candidate(2, second, 0), candidate(-5, third, 1)],
  ];
  best.set(rows.flat(2));
  const { ids } = await runMerge(harness, { vocabulary: third + 100, samplers, best });
  checkSame('merged tokens', ids.subarray(0, 4), [second, first, third, POISONED]);
}

async function checkTemperature(harness: SampleHarness): Promise<void> {
  const vocabulary = 1003;
  const logits = [uniform(1)(vocabulary, 4), uniform(2)(vocabulary, 1), new Float32Array(vocabulary)];
  const samplers: StepSampler[] = [];
  for (const [i, inverseTemperature] of [1, 0.5, 2, 1 / 3, 1, 1, 1, 10].entries()) {
    const seed = [i % 3, i > 5 ? 0xffffffff - i : 0] as const;
    samplers.push({
      logitRow: i % 3,
      stateSlot: STATE_SLOTS - 1 - i,
      inverseTemperature: Math.fround(inverseTemperature),
      seed,
      position: 7 + i,
    });
  }
  samplers.push({ ...samplers[0]!, position: 8, stateSlot: 0 }, { ...samplers[0]!, stateSlot: 1 });
  const { ids, best } = await runSampling(harness, { vocabulary, logits, samplers });
  const expected = samplers.map((sampler) => sample({ ...sampler, logits: logits[sampler.logitRow]! })!);
  check(expected.filter(({ margin }) => margin > 1e-4).length > 8, () => 'the margins of this test are too small to decide');
  for (const [i, { token, score, margin }] of expected.entries()) {
    if (margin > 1e-4) checkSame(`sampler ${i}, margin ${margin}`, [ids[i]!], [token]);
    const found = Math.max(...scoresOf(best, i, chunksOf(harness.sampler, vocabulary)));
    check(Math.abs(found - score) < 1e-4, () => `sampler ${i}: best score ${found}, expected ${score}`);
  }
  check(new Set(ids.subarray(0, 9)).size > 5, () => `nine draws gave ${[...ids.subarray(0, 9)].join()}`);
  checkSame('the same seed and position in the same row', [ids[9]!], [ids[0]!]);
}

/** Seeds (at position 0) whose Philox words give token 0 the largest uniform numbers and the smallest, in steps of 2^-23. */
const EXTREMES = [
  { seed: 16_390_493, step: 0x7fffff },
  { seed: 2_705_167, step: 0x7ffff8 },
  { seed: 14_326_017, step: 0x7fff00 },
  { seed: 75_465, step: 0 },
];

async function checkExtremes(harness: SampleHarness): Promise<void> {
  const samplers = EXTREMES.map(({ seed }, i): StepSampler => ({ ...greedy(0, i), inverseTemperature: 1, seed: [seed, 0] }));
  const { best } = await runSampling(harness, { vocabulary: 1, logits: [Float32Array.of(0)], samplers });
  for (const [i, { seed, step }] of EXTREMES.entries()) {
    const uniformSteps = philox([0, 0, 0, 0], [seed, 0])[0]! >>> 9;
    check(uniformSteps === step, () => `seed ${seed} gives ${uniformSteps}`);
    const expected = gumbel(0, 0, [seed, 0]);
    const [found] = scoresOf(best, i, 1);
    // near 1 WGSL's log may be off by more than the log itself: the kernel's series holds this
    check(Math.abs(found! - expected) < 1e-4, () => `the noise of uniform step ${step} is ${found}, expected ${expected}`);
  }
}

const philoxWords = defineKernel({
  label: 'philox-probe',
  source: philoxProbe,
  buffers: { inputs: 'read', words: 'read_write' },
  constants: ['COUNT'],
});

async function checkPhilox(harness: Harness): Promise<void> {
  const random = bits(uniform(21)(60 * 6, 1));
  const inputs = PHILOX_ANSWERS.map(([counter, key]) => [...counter!, ...key!]);
  for (const [counter, key, words] of PHILOX_ANSWERS) checkSame('the twin of Philox', philox(counter!, key!), words!);
  for (let i = 0; i < 60; i++) inputs.push([...random.subarray(i * 6, i * 6 + 6)].map((word) => Math.imul(word, 0x9e3779b1) >>> 0));
  const { words } = await harness.run({
    kernel: philoxWords,
    constants: { COUNT: inputs.length },
    libraries: [gridLibrary, PHILOX],
    buffers: { inputs: Uint32Array.from(inputs.flatMap((input) => [...input, 0, 0])), words: poison(inputs.length * 4, 'output') },
    threads: inputs.length,
  });
  const expected = inputs.flatMap((input) => philox(input.slice(0, 4), input.slice(4)));
  checkSame('Philox', words, expected);
}

const gridCounts = defineKernel({ label: 'grid-probe', source: gridProbe, buffers: { counts: 'read_write' }, constants: ['COUNT'] });

/** More workgroups than one dimension holds. */
async function checkGrid(harness: Harness): Promise<void> {
  const threads = 65_537 * 64 - 1;
  const counts = new Uint32Array(Math.ceil(threads / 65_536));
  const launch = { kernel: gridCounts, constants: { COUNT: threads }, libraries: [gridLibrary], buffers: { counts }, threads };
  const expected = counts.map((_, i) => Math.min(65_536, threads - i * 65_536));
  checkSame('invocations of each index', (await harness.run(launch)).counts, expected);
}

/** What samplers and all kernels share. */
export function libraryCases(harness: () => Promise<Harness>): Case[] {
  return [
    { name: 'Philox words are those of Random123', run: async () => checkPhilox(await harness()) },
    { name: 'grids that are folded over y run every index once', run: async () => checkGrid(await harness()) },
  ];
}

/** Samplers that look at every token. */
export function sampleCases(harness: () => Promise<SampleHarness>): Case[] {
  const cases: Case[] = [1, 3, 100, 256, 257, 1003].map((vocabulary) => ({
    name: `greedy sampling from ${vocabulary}: ties go to the lowest id`,
    run: async () => checkGreedy(await harness(), vocabulary),
  }));
  const add = (name: string, run: (device: SampleHarness) => Promise<void>): void => {
    cases.push({ name, run: async () => run(await harness()) });
  };
  add('greedy sampling: what is not finite poisons its own row alone', (device) => checkPoison(device, 0));
  add('temperature sampling: what is not finite poisons its own row alone', (device) => checkPoison(device, 1));
  add('merging takes the best candidate, the earlier of two', checkMerge);
  add('temperature sampling takes the token of the largest Gumbel score', checkTemperature);
  add('Gumbel noise is finite for the largest and smallest uniform numbers', checkExtremes);
  return cases;
}
