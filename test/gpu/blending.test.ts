import { describeGpu } from '../device.ts';
import { blendingCases } from '../suites/blending.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('requests on several adapters at once', (gpu) => testCases(blendingCases(nodeEnvironment(gpu))));
