import { describeGpu } from '../device.ts';
import { batchingCases } from '../suites/batching.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('the same logits in any batch', (gpu) => testCases(batchingCases(nodeEnvironment(gpu))));
