import { describeGpu } from '../device.ts';
import { wideModelCases } from '../suites/wide-model.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('a model on the wide family', (gpu) => testCases(wideModelCases(nodeEnvironment(gpu))));
