import { test } from 'vitest';
import { describeGpu } from '../device.ts';
import { kernelCases } from '../suites/kernels.ts';

await describeGpu('kernels against their twins', (gpu) => {
  for (const { name, run } of kernelCases({ gpu })) test(name, run);
});
