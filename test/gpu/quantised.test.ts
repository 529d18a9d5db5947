import { describeGpu } from '../device.ts';
import { quantisedCases } from '../suites/quantised.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('quantised weights', (gpu) => testCases(quantisedCases(nodeEnvironment(gpu))));
