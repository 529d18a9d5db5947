import { indexedDbStore } from '../../src/adapters/store-idb.ts';
import { sharedDevice } from '../shared-device.ts';
import { allSuites, type Suites } from '../suites/all.ts';
import { smollm2Cases } from '../suites/smollm2.ts';
import { storeCases } from '../suites/stores.ts';
import type { Environment } from '../suites/suite.ts';
import { pathInServer } from './paths.ts';

/** The suites that hold in every runtime, and those of what only browsers have. */
export function browserSuites(environment: Environment): Suites {
  return {
    ...allSuites(environment),
    'SmolLM2 from its GGUF, with five adapters': smollm2Cases(environment),
    'IndexedDB as a store': storeCases({ open: indexedDbStore }),
  };
}

/** Folders of the project, and of what lies beside it, as the tests' server has them; a suite says what it needs, so nothing is looked for. */
async function folder(path: string): Promise<URL> {
  return new URL(`/${pathInServer(path)}/`, globalThis.location.origin);
}

/** The suites, on the device of this thread. */
export function suitesHere(createEngine: Environment['createEngine']): Suites {
  return browserSuites({ gpu: sharedDevice(navigator.gpu), folder, createEngine });
}
