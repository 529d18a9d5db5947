import { describeGpu } from '../device.ts';
import { mergedCases } from '../suites/merged.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('adapters against bases that hold what they change', (gpu) => testCases(mergedCases(nodeEnvironment(gpu))));
