import { test } from 'vitest';
import { describeGpu } from '../device.ts';
import { everyBlockCase } from '../suites/kernels-blocks.ts';

await describeGpu('every type of GGUF in every form of a matmul', (gpu) => {
  for (const { name, run } of everyBlockCase({ gpu })) test.skipIf(!process.env['WEBLORA_SLOW'])(`${name} (WEBLORA_SLOW=1: minutes)`, run);
});
