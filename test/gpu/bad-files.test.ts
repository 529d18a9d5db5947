import { describeOwnGpu } from '../device.ts';
import { badFileCases } from '../suites/bad-files.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeOwnGpu('bad files', (gpu) => testCases(badFileCases(nodeEnvironment(gpu))));
