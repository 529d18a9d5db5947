import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';
import { createEngine } from '../../src/engine/engine.ts';
import type { GpuProvider } from '../../src/engine/types.ts';
import type { Case, Environment } from '../suites/suite.ts';

const root = new URL('../../', import.meta.url);

function onDisk(path: string): string | undefined {
  const absolute = fileURLToPath(new URL(path, root));
  return existsSync(absolute) ? absolute : undefined;
}

/** The project's files on disk, and what lies beside the checkout where it is there. */
export function nodeEnvironment(gpu: GpuProvider): Environment {
  return { gpu, folder: async (path) => onDisk(path), createEngine: (options) => createEngine({ ...options, gpu }) };
}

/** Each case as a test; one whose folders are not there is skipped, and says so. */
export function testCases(cases: readonly Case[]): void {
  for (const { name, run, needs = [] } of cases) {
    const absent = needs.filter((path) => onDisk(path) === undefined);
    if (absent.length === 0) test(name, run);
    else test.skip(`${name} [not there: ${absent.join(', ')}]`, run);
  }
}
