import { describeGpu } from '../device.ts';
import { smollm2Cases } from '../suites/smollm2.ts';
import { nodeEnvironment, testCases } from './environment.ts';

const isSlow = Boolean(process.env['WEBLORA_SLOW']);

await describeGpu('SmolLM2 from its GGUF, with five adapters', (gpu) =>
  testCases(smollm2Cases(nodeEnvironment(gpu)).filter(({ takes }) => isSlow || takes !== 'minutes')),
);
