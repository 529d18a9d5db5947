import { describeGpu } from '../device.ts';
import { engineAdapterCases } from '../suites/engine-adapters.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('an engine and its adapters', (gpu) => testCases(engineAdapterCases(nodeEnvironment(gpu))));
