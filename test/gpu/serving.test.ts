import { describeGpu } from '../device.ts';
import { servingCases } from '../suites/serving.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('requests beside each other', (gpu) => testCases(servingCases(nodeEnvironment(gpu))));
