import { describeOwnGpu } from '../device.ts';
import { deviceLossCases } from '../suites/device-loss.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeOwnGpu('a lost device', (gpu) => testCases(deviceLossCases(nodeEnvironment(gpu))));
