import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allSuites, noEnvironment } from '../suites/all.ts';
import { bundle, type Bundle } from './bundle.ts';
import { driverEnvironment, root, startDeno, type DenoScript } from './deno.ts';

interface Device {
  readonly name: string;
  readonly gpu: 'deno' | 'dawn';
  readonly driver: 'swiftshader' | 'llvmpipe';
  /** Those that run without WEBLORA_SLOW; undefined: all. */
  readonly suites?: readonly string[];
}

/** Deno's own WebGPU (wgpu) and Dawn, and the drivers that each is tested on. */
const DEVICES: readonly Device[] = [
  { name: "Deno's own WebGPU on SwiftShader", gpu: 'deno', driver: 'swiftshader' },
  { name: "Deno's own WebGPU on llvmpipe", gpu: 'deno', driver: 'llvmpipe' },
  // the same Dawn, driver and shaders as in Node, where all suites run: here is what the runtime around them has a part in
  {
    name: 'Dawn in Deno on SwiftShader',
    gpu: 'dawn',
    driver: 'swiftshader',
    suites: ['results on their way back', 'what steps keep between them', 'parity with transformers and PEFT, exact'],
  },
];

let script: Bundle;

beforeAll(async () => {
  script = await bundle('test/runtime/deno-suites.ts');
});

afterAll(() => script?.remove());

for (const { name, gpu, driver, suites } of DEVICES) {
  const environment = await driverEnvironment(driver);
  // llvmpipe is an addition where a machine has it; SwiftShader comes with the packages.
  const absent = environment === undefined && (driver === 'llvmpipe' || !process.env['CI']);
  describe.skipIf(absent)(name, () => {
    let deno: DenoScript;

    beforeAll(() => {
      deno = startDeno([script.file, root, gpu], environment!);
    });

    afterAll(async () => {
      await deno?.end();
    });

    for (const [suite, cases] of Object.entries(allSuites(noEnvironment()))) {
      describe(suite, () => {
        for (const { name: one, needs = [], takes } of cases) {
          const isMore = takes === 'minutes' || suites?.includes(suite) === false;
          const slow = isMore && !process.env['WEBLORA_SLOW'];
          test.skipIf(slow || needs.some((path) => !existsSync(join(root, path))))(one, async () => {
            const { failure } = await deno.ask({ suite, name: one });
            expect(failure, failure).toBeUndefined();
          });
        }
      });
    }
  });
}
