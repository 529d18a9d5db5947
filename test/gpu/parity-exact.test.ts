import { describeGpu } from '../device.ts';
import { parityCases } from '../suites/parity.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('parity with transformers and PEFT, exact', (gpu) => testCases(parityCases(nodeEnvironment(gpu), 'exact')));
