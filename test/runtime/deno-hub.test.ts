import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoryHubStore } from '../../src/formats/hub-store-memory.ts';
import { openHubDouble, type HubDouble } from '../servers/hub.ts';
import { hubCases } from '../suites/hub.ts';
import { bundle, type Bundle } from './bundle.ts';
import { startDeno, type DenoScript } from './deno.ts';

let double: HubDouble;
let folder: string;
let script: Bundle;
let deno: DenoScript;

beforeAll(async () => {
  double = await openHubDouble();
  folder = await mkdtemp(join(tmpdir(), 'weblora-deno-hub-'));
  script = await bundle('test/runtime/deno-hub.ts');
  deno = startDeno([script.file, double.url, folder], {});
});

afterAll(async () => {
  await deno?.end();
  script?.remove();
  double?.close();
  await rm(folder, { recursive: true, force: true });
});

describe("the hub in Deno, kept in Hugging Face's cache", () => {
  for (const { name } of hubCases({ endpoint: '', store: () => memoryHubStore() })) {
    test(name, async () => {
      const { failure } = await deno.ask({ suite: 'hub', name });
      expect(failure, failure).toBeUndefined();
    });
  }
});
