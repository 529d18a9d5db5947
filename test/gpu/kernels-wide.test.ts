import { test } from 'vitest';
import { describeGpu } from '../device.ts';
import { wideCases } from '../suites/kernels-wide.ts';

await describeGpu('the wide family against the same twins', (gpu) => {
  for (const { name, run } of wideCases({ gpu })) test(name, run);
});
