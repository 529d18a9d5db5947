import { test } from 'vitest';
import { checkRawLogits } from '../suites/parity.ts';
import { PLAIN } from '../../src/kernels/plain.ts';
import { NARROW } from '../../src/kernels/variants.ts';
import { wideKernels } from '../../src/kernels/wide.ts';
import { describeGpu } from '../device.ts';
import { nodeEnvironment } from './environment.ts';

const WIDE = wideKernels({ subgroups: 'no', f16: 'no' }, { precision: 'exact', deterministic: 'no' });
const adapters = (process.env.OWN ?? 'dora').split(',');
await describeGpu('own', (gpu) => {
  const family = { name: 'llama', path: 'test/fixtures/arch/llama', adapters };
  for (const [name, kernels] of Object.entries({ NARROW, PLAIN, WIDE })) {
    test(name, () => checkRawLogits(nodeEnvironment(gpu), family, 'exact', kernels), 200_000);
  }
});
