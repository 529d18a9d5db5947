import { describeGpu } from '../device.ts';
import { kernelChoiceCases } from '../suites/kernel-choice.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('the choice of kernels', (gpu) => testCases(kernelChoiceCases(nodeEnvironment(gpu))));
