import { describeGpu } from '../device.ts';
import { frontdeskCases } from '../suites/frontdesk.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('parity on the small trained model', (gpu) => testCases(frontdeskCases(nodeEnvironment(gpu))));
