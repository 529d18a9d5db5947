import { indexedDbStore } from '../../src/adapters/store-idb.ts';
import { sharedDevice } from '../shared-device.ts';
import { allSuites, type Suites } from '../suites/all.ts';
import { storeCases } from '../suites/stores.ts';
import type { Environment } from '../suites/suite.ts';

/** The suites that hold in every runtime, and those of what only browsers have. */
export function browserSuites(environment: Environment): Suites {
  return { ...allSuites(environment), 'IndexedDB as a store': storeCases({ open: indexedDbStore }) };
}

/** Folders of the project as the tests' server has them; a suite says what it needs, so nothing is looked for. */
async function folder(path: string): Promise<URL> {
  return new URL(`/${path.replace(/^public\//, '')}/`, globalThis.location.origin);
}

/** The suites, on the device of this thread. */
export function suitesHere(createEngine: Environment['createEngine']): Suites {
  return browserSuites({ gpu: sharedDevice(navigator.gpu), folder, createEngine });
}
