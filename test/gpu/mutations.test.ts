import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { describeGpu, nullGpu } from '../device.ts';
import { runMutations } from '../mutations/run.ts';

// `npm run test:mutations -- --count 50000 --seed 1` sets these.
const number = (name: string, byDefault: number): number => Number(process.env[`WEBLORA_MUTATIONS_${name}`] ?? byDefault);
const [count, seed, first, prepared] = [number('COUNT', 500), number('SEED', 1), number('FIRST', 0), number('PREPARED', 1)];
const progress = process.env['WEBLORA_MUTATIONS_PROGRESS'];
const report = process.env['WEBLORA_MUTATIONS_REPORT'];

await describeGpu('damaged files', (gpu) => {
  test(`${count} of them end in a typed error or in finite logits, soon and in little memory`, { timeout: 0 }, async () => {
    const onRound = progress === undefined ? {} : { onRound: (round: number): void => writeFileSync(progress, String(round)) };
    const tally = await runMutations({ gpu, nothing: await nullGpu(), prepared, seed, first, count, ...onRound });
    if (report !== undefined) writeFileSync(report, JSON.stringify(tally));
    else console.log(JSON.stringify({ ...tally, failures: tally.failures.length }));
    expect(tally.failures.slice(0, 20)).toEqual([]);
    expect(tally.ends['computed']).toBeGreaterThan(0);
  });
});
