import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../src/server/cli-main.ts';
import { chat, parse, testHost } from './cli-harness.ts';

const [FIRST, SECOND] = ['a1'.repeat(20), 'b2'.repeat(20)] as const;

let cache: string;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'weblora-models-'));
  vi.stubEnv('HF_HUB_CACHE', cache);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(cache, { recursive: true });
});

/** A model of two commits that share their weights, as the hub's own tools lay it out. */
async function keep(repository: string): Promise<void> {
  const folder = join(cache, `models--${repository.replace('/', '--')}`);
  const put = async (path: string, text: string): Promise<void> => {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), text);
  };
  await put('blobs/weights', 'x'.repeat(2000));
  await put('blobs/old', 'old');
  await put('blobs/new', 'newer');
  await put('refs/main', SECOND);
  await put('refs/v1', FIRST);
  for (const [commit, blob] of [
    [FIRST, 'old'],
    [SECOND, 'new'],
  ]) {
    await mkdir(join(folder, 'snapshots', commit!), { recursive: true });
    await symlink('../../blobs/weights', join(folder, 'snapshots', commit!, 'model.safetensors'));
    await symlink(`../../blobs/${blob}`, join(folder, 'snapshots', commit!, 'config.json'));
  }
  const old = (Date.now() - 3 * 24 * 3600_000) / 1000;
  for (const blob of await readdir(join(folder, 'blobs'))) await utimes(join(folder, 'blobs', blob), old, old);
}

async function run(...words: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const { host, written } = testHost();
  return { code: await main(words, host), ...written };
}

describe('weblora models', () => {
  test('lists what is kept, for people and for programs', async () => {
    expect(await run('models')).toEqual({ code: 0, out: '', err: `There are no models in ${cache}.\n` });
    await keep('owner/name');
    await writeFile(join(cache, 'models--owner--name', 'blobs', 'x.weblora-part'), '1234567');
    const { out } = await run('models');
    expect(out.split('\n').slice(0, -2)).toEqual([
      'ID          REVISION       FILES    BYTES  LAST USED',
      'owner/name  v1 a1a1a1a1        2   2.0 kB  3 days ago',
      'owner/name  main b2b2b2b2      2   2.0 kB  3 days ago',
      expect.stringMatching(/^owner\/name {2}\(unfinished\) +7 bytes$/),
    ]);
    expect(out).toMatch(/\n1 model, 2\.0 kB in .*weblora-models-/);
    const json = JSON.parse((await run('models', '--json')).out) as unknown;
    const shared = { files: 2, lastUsed: expect.stringMatching(/^20\d\d-/) };
    expect(json).toEqual({
      cache,
      models: [
        {
          id: 'owner/name',
          bytes: 2008,
          unfinishedBytes: 7,
          revisions: [
            { commit: FIRST, names: ['v1'], bytes: 2003, ...shared },
            { commit: SECOND, names: ['main'], bytes: 2005, ...shared },
          ],
        },
      ],
    });
  });

  test('removes a revision, and the whole of a model', async () => {
    await keep('owner/name');
    await keep('owner/other');
    expect(await run('models', 'rm', 'owner/name@v1')).toEqual({ code: 0, out: '', err: 'owner/name@v1 removed: 3 bytes freed\n' });
    expect(await readdir(join(cache, 'models--owner--name', 'snapshots'))).toEqual([SECOND]);
    expect((await readdir(join(cache, 'models--owner--name', 'blobs'))).toSorted()).toEqual(['new', 'weights']);
    const { code, err } = await run('models', 'remove', 'owner/name', 'owner/none', 'owner/other@b2b2');
    expect(code).toBe(1);
    expect(err).toBe(
      `owner/name removed: 2.0 kB freed\nowner/other@b2b2 removed: 5 bytes freed\nweblora: There is no owner/none in ${cache}.\n`,
    );
    expect(await readdir(cache)).toEqual(['models--owner--other']);
    expect((await run('models', 'rm', 'owner/other@v9')).err).toContain('no revision v9');
    expect((await run('models', 'rm', '../x')).err).toContain('weblora: A model is removed by owner/name');
  });

  test('understands nothing else', () => {
    expect(parse('models', 'list').args).toEqual({ command: 'ended', exitCode: 2 });
    expect(parse('models', 'rm').args).toEqual({ command: 'ended', exitCode: 2 });
    expect(parse('models', '--help').out).toContain('rm|remove [options] <id...>');
  });
});

test('what is fetched before a model starts is told of on standard error', async () => {
  const { host, written } = testHost();
  const { createEngine } = host;
  const engine: typeof createEngine = (options) => {
    for (const loaded of [0, 5_000_000, 10_000_000]) {
      options.onProgress?.({ phase: 'download', file: 'model.safetensors', loaded, total: 10_000_000 });
    }
    options.onProgress?.({ file: 'model.safetensors', loaded: 1, total: 2 });
    return createEngine(options);
  };
  expect(await main(chat, { ...host, createEngine: engine })).toBe(0);
  expect(written.err.match(/fetching .*/g)).toEqual(['fetching model.safetensors: 0 bytes of 10.0 MB']);
});
