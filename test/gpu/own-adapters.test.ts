import { describeGpu } from '../device.ts';
import { ownAdapterCases } from '../suites/own-adapters.ts';
import { promotedCases } from '../suites/promotion.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('adapters that do more than add low-rank pairs', (gpu) => {
  const environment = nodeEnvironment(gpu);
  testCases([...ownAdapterCases(environment), ...promotedCases(environment)]);
});
