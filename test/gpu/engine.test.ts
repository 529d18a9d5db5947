import { describeGpu } from '../device.ts';
import { engineCases } from '../suites/engine.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('an engine and its requests', (gpu) => testCases(engineCases(nodeEnvironment(gpu))));
