import { describeGpu } from '../device.ts';
import { GGUF_FAMILIES, ggufFamilyCases } from '../suites/gguf-families.ts';
import { nodeEnvironment, testCases } from './environment.ts';

// Each family is two models to build: one that permutes rows stands for all where there is no time.
const families = process.env['WEBLORA_SLOW'] ? GGUF_FAMILIES : GGUF_FAMILIES.slice(0, 1);

await describeGpu('GGUF files of families', (gpu) => testCases(ggufFamilyCases(nodeEnvironment(gpu), families)));
