import { describeGpu } from '../device.ts';
import { stepCases } from '../suites/steps.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('steps without an engine', (gpu) => testCases(stepCases(nodeEnvironment(gpu))));
