import { describeOwnGpu } from '../device.ts';
import { sameAnswersCases } from '../suites/same-answers.ts';
import { nodeEnvironment, testCases } from './environment.ts';

/** Each builds a device and compiles its pipelines anew: many of them take minutes. */
const losses = process.env['WEBLORA_SLOW'] ? 20 : 5;

await describeOwnGpu('the same answers bit for bit', (gpu) => testCases(sameAnswersCases(nodeEnvironment(gpu), losses)));
