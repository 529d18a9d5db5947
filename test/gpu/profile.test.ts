import { expect, test } from 'vitest';
import { profile } from '../../src/engine/profile.ts';
import type { ProfiledStep, ProfileReport } from '../../src/engine/profile-report.ts';
import { describeGpu } from '../device.ts';

const LAYERS = 8;
const SIZES = { rows: 3, context: 40, promptRows: 20 };
const FOLDER = 'public/models/frontdesk';

function checkStep(step: ProfiledStep, launches: number): void {
  const { kernels, kernelsMs, gapsMs, stepMs, floorsMs, launchesMs, stepOfFloors } = step;
  const sum = (of: (kernel: ProfiledStep['kernels'][number]) => number): number => kernels.reduce((all, kernel) => all + of(kernel), 0);
  expect([step.launches, sum(({ dispatches }) => dispatches)]).toEqual([launches, launches]);
  expect(kernelsMs + gapsMs).toBeCloseTo(stepMs, 9);
  expect(sum(({ ms }) => ms)).toBeCloseTo(kernelsMs, 9);
  expect(sum(({ floorMs }) => floorMs)).toBeCloseTo(floorsMs, 9);
  expect(stepOfFloors).toBeCloseTo(stepMs / floorsMs, 9);
  expect(floorsMs).toBeGreaterThan(launchesMs);
  for (const { ms, floorMs, share } of kernels) expect(Math.min(ms, floorMs, share)).toBeGreaterThan(0);
  expect(kernels.map(({ ms }) => ms)).toEqual(kernels.map(({ ms }) => ms).sort((a, b) => b - a));
}

const partsOf = (step: ProfiledStep, kernel: RegExp): unknown[] =>
  step.kernels
    .filter((each) => kernel.test(each.kernel))
    .map(({ part, dispatches }) => `${part} ${dispatches}`)
    .sort();

await describeGpu('profile', (gpu) => {
  test('accounts for every dispatch of a step with adapters, and of a chunk of a prompt', async () => {
    const adapters = ['pirate', 'sql'].map((name) => `${FOLDER}/adapters/${name}`);
    const heard: string[] = [];
    const report = await profile({ gpu, model: `${FOLDER}/base`, adapters, ...SIZES, onProgress: ({ next }) => heard.push(next) });
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    const [decode, prefill] = report.steps as [ProfiledStep, ProfiledStep];
    expect(report).toMatchObject({ version: 1, model: 'base', adapters: 2 } satisfies Partial<ProfileReport>);
    expect([decode.step, decode.rows, decode.keys]).toEqual(['decode', 3, 40]);
    expect([prefill.step, prefill.rows, prefill.keys]).toEqual(['prefill', 20, 20]);
    // two norms, four matmuls with shrink and expand, rope, attention, the gate; embedding, norm, head, two for the sampler
    for (const step of report.steps) checkStep(step, LAYERS * (2 + 4 * 3 + 3) + 5);
    const groups = ['down', 'gate and up', 'o', 'qkv'].map((part) => `${part} ${LAYERS}`);
    expect(partsOf(decode, /shrink/)).toEqual(groups);
    expect(partsOf(decode, /expand/)).toEqual(groups);
    expect(partsOf(decode, /matmul/)).toEqual([...groups.slice(0, 2), 'head 1', ...groups.slice(2)]);
    expect(Object.values(report.ceilings).every((value) => value > 0)).toBe(true);
    expect([heard[0], heard.at(-1)]).toEqual(['loading the model', '']);
  });

  test('takes the base alone with weights in 4 bits, and refuses what does not fit', async () => {
    const model = `${FOLDER}/base`;
    const report = await profile({ gpu, model, precision: 'half', quantize: 'q4', kernels: 'narrow', ...SIZES });
    expect(report).toMatchObject({ precision: 'half', quantize: 'q4', adapters: 0 });
    for (const step of report.steps) checkStep(step, LAYERS * (2 + 4 + 3) + 5);
    await expect(profile({ gpu, model, ...SIZES, context: 100_000 })).rejects.toMatchObject({ code: 'request_invalid', param: 'context' });
    const memory = { pool: 128 << 10 };
    await expect(profile({ gpu, model, ...SIZES, memory })).rejects.toThrow(/context|pool/);
  });
});
