import { batchingCases } from './batching.ts';
import { frontdeskCases } from './frontdesk.ts';
import { kernelCases } from './kernels.ts';
import { wideCases } from './kernels-wide.ts';
import { wideSamplerCases } from './kernels-wide-sampler.ts';
import { parityCases } from './parity.ts';
import { readbackCases } from './readback.ts';
import { stepCases } from './steps.ts';
import type { Case, Environment } from './suite.ts';

/** Cases by the name of their suite. */
export type Suites = Readonly<Record<string, readonly Case[]>>;

/** The suites that hold in every runtime. */
export function allSuites(environment: Environment): Suites {
  return {
    'results on their way back': readbackCases(environment),
    'kernels against their twins': kernelCases(environment),
    'the wide family against the same twins': wideCases(environment),
    'the wide sampler': wideSamplerCases(environment),
    'what steps keep between them': stepCases(environment),
    'parity with transformers and PEFT, exact': parityCases(environment, 'exact'),
    'parity with transformers and PEFT, half': parityCases(environment, 'half'),
    'the same logits in any batch': batchingCases(environment),
    'parity on the small trained model': frontdeskCases(environment),
  };
}

/** An environment for suites that are only listed: running one of their cases throws. */
export function noEnvironment(): Environment {
  const absent = (): never => {
    throw new Error('These cases are a list; run them where the suites were given a device');
  };
  return { gpu: { requestAdapter: absent }, folder: absent, createEngine: absent };
}
