import { describeGpu } from '../device.ts';
import { readbackCases } from '../suites/readback.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('results on their way back', (gpu) => testCases(readbackCases(nodeEnvironment(gpu))));
