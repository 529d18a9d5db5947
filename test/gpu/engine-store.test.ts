import { describeGpu } from '../device.ts';
import { engineStoreCases } from '../suites/engine-store.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('an engine and its store', (gpu) => testCases(engineStoreCases(nodeEnvironment(gpu))));
