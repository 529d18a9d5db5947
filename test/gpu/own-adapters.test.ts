import { describeGpu } from '../device.ts';
import { ownAdapterCases } from '../suites/own-adapters.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('adapters that do more than add low-rank pairs', (gpu) => testCases(ownAdapterCases(nodeEnvironment(gpu))));
