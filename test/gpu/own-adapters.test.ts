import { describeOwnGpu } from '../device.ts';
import { sharedDevice } from '../shared-device.ts';
import { ownAdapterCases } from '../suites/own-adapters.ts';
import { promotedCases } from '../suites/promotion.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeOwnGpu('adapters that do more than add low-rank pairs', (gpu) => {
  const losing = ({ name }: { readonly name: string }): boolean => name.startsWith('after a lost device');
  const shared = nodeEnvironment(sharedDevice(gpu));
  testCases([...ownAdapterCases(shared), ...promotedCases(shared)].filter((each) => !losing(each)));
  testCases(ownAdapterCases(nodeEnvironment(gpu)).filter(losing));
});
