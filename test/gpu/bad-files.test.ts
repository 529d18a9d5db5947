import { describeGpu } from '../device.ts';
import { badFileCases } from '../suites/bad-files.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('bad files', (gpu) => testCases(badFileCases(nodeEnvironment(gpu))));
