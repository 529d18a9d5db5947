import { describeGpu } from '../device.ts';
import { allFamilyCases, familyCases } from '../suites/families.ts';
import { nodeEnvironment, testCases } from './environment.ts';

await describeGpu('families', (gpu) => {
  const environment = nodeEnvironment(gpu);
  testCases(process.env['WEBLORA_SLOW'] ? [...familyCases(environment), ...allFamilyCases(environment)] : familyCases(environment));
});
