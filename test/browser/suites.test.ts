import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noEnvironment } from '../suites/all.ts';
import { openHarness, urlOf, type Harness, type OpenPage } from './harness.ts';
import { browserSuites } from './suites-run.ts';

/**
 * The same Dawn, driver and shaders as in Node, where these run: they go through nothing else that a browser has a part in. Every variant
 * of a kernel is compared with its plain loop here, too, by the doctor's page.
 */
const NODE_IS_ENOUGH: readonly string[] = [
  'kernels against their twins',
  'parity with transformers and PEFT, half',
  'the same logits in any batch',
];

/** For 33 answers of a real model on a software device that has other things to do. */
const LONG = 7_200_000;

let harness: Harness;
let open: OpenPage;

beforeAll(async () => {
  harness = await openHarness();
  open = await harness.open('/test/browser/suites.html');
  await open.page.waitForFunction('globalThis.runCase !== undefined');
});

afterAll(async () => {
  await harness?.close();
});

for (const [suite, cases] of Object.entries(browserSuites(noEnvironment()))) {
  describe(suite, () => {
    for (const { name, needs = [], on = 'device', takes } of cases) {
      // What is compared with references beside the checkout takes its time too; Node does it always.
      const isMore = takes === 'minutes' || NODE_IS_ENOUGH.includes(suite) || needs.some((path) => path.startsWith('../'));
      const skipped = (isMore && !process.env['WEBLORA_SLOW']) || needs.some((path) => urlOf(path) === undefined);
      test.skipIf(skipped)(name, isMore ? { timeout: LONG } : {}, async () => {
        const failure = await open.page.evaluate(
          ([asked, where]) => (globalThis as unknown as { runCase(...args: unknown[]): Promise<string | undefined> }).runCase(asked, where),
          [{ suite, name }, on] as const,
        );
        expect(failure, failure).toBeUndefined();
      });
    }
  });
}
