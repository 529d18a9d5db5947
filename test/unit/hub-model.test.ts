import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { openModel } from '../../src/engine/load.ts';
import type { Progress } from '../../src/engine/types.ts';
import { openHubDouble, type HubDouble } from '../servers/hub.ts';
import type { HubRequest } from '../servers/hub-orders.ts';

const BASE = 'public/models/frontdesk/base';
const repository = 'owner/frontdesk';

let hub: HubDouble;
let cache: string;
beforeAll(async () => {
  hub = await openHubDouble();
  cache = await mkdtemp(join(tmpdir(), 'weblora-hub-model-'));
  const names = await readdir(BASE);
  const files = {
    ...Object.fromEntries(names.map((name) => [name, { path: `${BASE}/${name}` }])),
    'pytorch_model.bin': { size: 1000, seed: 1 },
    'README.md': 'words',
    'onnx/model.onnx': { size: 1000, seed: 2 },
  };
  await fetch(`${hub.url}/_repository`, { method: 'POST', body: JSON.stringify({ repository, commit: 'e'.repeat(40), files }) });
});
afterAll(async () => {
  hub.close();
  vi.unstubAllEnvs();
  await rm(cache, { recursive: true });
});
beforeEach(() => vi.stubEnv('HF_HOME', cache));

const log = async (): Promise<HubRequest[]> => (await fetch(`${hub.url}/_log?repository=${repository}`)).json() as Promise<HubRequest[]>;

test('a model is opened by its hub id: what is needed is fetched once, and told of by file and bytes', async () => {
  const seen: Progress[] = [];
  const options = {
    model: repository,
    hubEndpoint: hub.url,
    hubToken: 'hf_secret',
    onProgress: (progress: Progress) => void seen.push(progress),
  };
  const opened = await openModel(options);
  const local = await openModel({ model: BASE });
  expect(opened.config).toEqual(local.config);
  expect([...opened.files.tensors.keys()]).toEqual([...local.files.tensors.keys()]);
  expect(opened.info.name).toBe('frontdesk');
  const [name, info] = [...opened.files.tensors][0]!;
  expect(await opened.files.read(info, 0, 64)).toEqual(await local.files.read(local.files.tensors.get(name)!, 0, 64));

  const requests = await log();
  const fetched = new Set(requests.filter(({ host }) => host === 'store').map(({ url }) => url.split('?')[0]!.split('/').at(-1)));
  for (const unwanted of ['pytorch_model.bin', 'README.md', 'model.onnx']) expect(fetched).not.toContain(unwanted);
  expect(new Set(requests.filter(({ host }) => host === 'store').map(({ authorization }) => authorization))).toEqual(new Set([undefined]));
  expect(new Set(requests.filter(({ host }) => host === 'hub').map(({ authorization }) => authorization))).toEqual(
    new Set(['Bearer hf_secret']),
  );
  const totals = new Set(seen.map(({ total }) => total));
  expect(totals.size).toBe(1); // known from the first byte on
  expect(seen.every(({ phase, loaded, total }) => phase === 'download' && loaded <= total)).toBe(true);
  expect(seen.at(-1)!.loaded).toBe([...totals][0]);
  expect(seen.map(({ loaded }) => loaded)).toEqual(seen.map(({ loaded }) => loaded).toSorted((a, b) => a - b));

  seen.length = 0;
  const before = (await log()).length;
  await openModel(options);
  expect((await log()).slice(before).map(({ url }) => url)).toEqual([`/api/models/${repository}/revision/main`]);
  expect(seen).toEqual([]);
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  expect((await openModel({ model: repository, hubEndpoint: hub.url })).config).toEqual(local.config);
  vi.unstubAllEnvs();
});

test('options that are no endpoint are refused', async () => {
  const { checkEngineOptions } = await import('../../src/engine/options.ts');
  for (const hubEndpoint of ['hub', 'ftp://x', 'http://u:p@x', '']) {
    expect(() => checkEngineOptions({ model: 'm', hubEndpoint })).toThrow(
      expect.objectContaining({ code: 'request_invalid', param: 'hubEndpoint' }),
    );
  }
});

test('nothing is fetched where there is no GPU', async () => {
  const { createEngine } = await import('../../src/engine/engine.ts');
  const before = (await log()).length;
  const gpu = { requestAdapter: async () => null };
  await expect(createEngine({ model: `${repository}@other`, hubEndpoint: hub.url, gpu })).rejects.toMatchObject({ code: 'gpu_missing' });
  expect((await log()).length).toBe(before);
});
