import { describeGpu } from '../device.ts';
import { sameAnswersCases } from '../suites/same-answers.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('the same answers bit for bit', (gpu) => testCases(sameAnswersCases(nodeEnvironment(gpu))));
