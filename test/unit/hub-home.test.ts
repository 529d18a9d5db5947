import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { hubSite } from '../../src/formats/hub-access.ts';
import { openCachedHubFolder } from '../../src/formats/hub-cached.ts';
import { diskHubStore } from '../../src/formats/hub-disk.ts';
import { memoryHubStore } from '../../src/formats/hub-store-memory.ts';

const NAMES = [
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'HF_HOME',
  'XDG_CACHE_HOME',
  'HF_TOKEN',
  'HUGGING_FACE_HUB_TOKEN',
  'HF_TOKEN_PATH',
  'HF_HUB_DISABLE_IMPLICIT_TOKEN',
];

beforeEach(() => NAMES.forEach((name) => vi.stubEnv(name, undefined)));
afterEach(() => vi.unstubAllEnvs());

test('the cache is where its own tools have it', () => {
  expect(diskHubStore().location).toBe(join(homedir(), '.cache/huggingface/hub'));
  vi.stubEnv('XDG_CACHE_HOME', '/x');
  expect(diskHubStore().location).toBe('/x/huggingface/hub');
  vi.stubEnv('HF_HOME', '~/hf');
  expect(diskHubStore().location).toBe(join(homedir(), 'hf/hub'));
  vi.stubEnv('HUGGINGFACE_HUB_CACHE', '/old');
  expect(diskHubStore().location).toBe('/old');
  vi.stubEnv('HF_HUB_CACHE', '$XDG_CACHE_HOME/${HF_HOME}');
  expect(diskHubStore().location).toBe('/x/~/hf');
});

test('the token is the one that they would send', async () => {
  const sent = (token?: string): string | undefined => hubSite('owner/name', { endpoint: 'http://hub', token }).headers['authorization'];
  const folder = await mkdtemp(join(tmpdir(), 'weblora-home-'));
  try {
    vi.stubEnv('HF_HOME', folder);
    expect(sent()).toBeUndefined();
    await writeFile(join(folder, 'token'), 'hf_login\r\n\n');
    expect(sent()).toBe('Bearer hf_login');
    expect(sent('')).toBeUndefined();
    expect(sent('hf_given')).toBe('Bearer hf_given');
    vi.stubEnv('HF_HUB_DISABLE_IMPLICIT_TOKEN', '1');
    expect([sent(), sent('hf_given')]).toEqual([undefined, 'Bearer hf_given']);
    vi.stubEnv('HF_HUB_DISABLE_IMPLICIT_TOKEN', '0');
    await mkdir(join(folder, 'other'));
    await writeFile(join(folder, 'other/key'), 'hf_path');
    vi.stubEnv('HF_TOKEN_PATH', '$HF_HOME/other/key');
    expect(sent()).toBe('Bearer hf_path');
    vi.stubEnv('HUGGING_FACE_HUB_TOKEN', 'hf_old');
    expect(sent()).toBe('Bearer hf_old');
    vi.stubEnv('HF_TOKEN', ' hf_new ');
    expect(sent()).toBe('Bearer hf_new');
    vi.stubEnv('HF_TOKEN', '');
    expect(sent()).toBe('Bearer hf_old');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.each(['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'])('%s asks nobody', async (name) => {
  vi.stubEnv(name, 'yes');
  const folder = openCachedHubFolder('owner/name', { endpoint: 'http://127.0.0.1:1' }, { store: memoryHubStore() });
  await expect(folder.size('x')).rejects.toMatchObject({ message: expect.stringContaining('HF_HUB_OFFLINE') });
});
