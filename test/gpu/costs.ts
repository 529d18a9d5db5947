import { beforeAll, expect, test } from 'vitest';
import { describeGpu } from '../device.ts';
import { costsOf, type Costs } from '../suites/kernel-counts.ts';
import { openHarness, type Harness, type Launch } from '../suites/kernel-harness.ts';

/** A dispatch, and what it costs. */
export interface Held {
  readonly name: string;
  readonly launch: Launch<string>;
  readonly costs: Costs;
}

/** Counts what each of them does, prints it and holds it. */
export async function describeCosts(what: string, held: readonly Held[]): Promise<void> {
  await describeGpu(what, (gpu) => {
    let harness: Harness;
    beforeAll(async () => {
      harness = await openHarness(gpu);
    });

    for (const { name, launch, costs } of held) {
      test(name, async () => {
        const found = await costsOf(harness, launch);
        console.log(`${name}: ${JSON.stringify(found)}`);
        expect(found.shared).toBeLessThanOrEqual(16 << 10);
        expect(found).toEqual(costs);
      });
    }
  });
}
