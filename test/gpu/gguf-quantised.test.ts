import { describeGpu } from '../device.ts';
import { ggufQuantisedCases } from '../suites/gguf-quantised.ts';
import { nodeEnvironment, testCases } from './environment.ts';

// Each is two models to build: one type stands for all where there is no time.
const isSlow = Boolean(process.env['WEBLORA_SLOW']);

await describeGpu('GGUF files of every type', (gpu) =>
  testCases(ggufQuantisedCases(nodeEnvironment(gpu)).filter(({ name }) => isSlow || name.startsWith('Q4_K'))),
);
