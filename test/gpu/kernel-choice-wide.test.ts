import { describeGpu } from '../device.ts';
import { wideChoiceCases } from '../suites/kernel-choice.ts';
import { testCases } from './environment.ts';

await describeGpu('the check of wide kernels', (gpu) => testCases(wideChoiceCases({ gpu })));
