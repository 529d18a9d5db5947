import { test } from 'vitest';
import { describeGpu } from '../device.ts';
import { everyWideSamplerCase, wideSamplerCases } from '../suites/kernels-wide-sampler.ts';

await describeGpu('the wide sampler', (gpu) => {
  for (const { name, run } of wideSamplerCases({ gpu })) test(name, run);
  for (const { name, run } of everyWideSamplerCase({ gpu }))
    test.skipIf(!process.env['WEBLORA_SLOW'])(`${name} (WEBLORA_SLOW=1: minutes)`, run);
});
