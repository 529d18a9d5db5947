import { describeGpu } from '../device.ts';
import { counterCases } from '../suites/counters.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('what a step costs', (gpu) => testCases(counterCases(nodeEnvironment(gpu))));
