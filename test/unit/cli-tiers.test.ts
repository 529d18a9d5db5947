import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { AdapterInfo, CoreEngine } from '../../src/engine/types.ts';
import { WebLoraError, type ErrorCode } from '../../src/errors.ts';
import type { Host } from '../../src/server/cli-host.ts';
import { main } from '../../src/server/cli-main.ts';
import { chat, parse, testHost } from './cli-harness.ts';

const folder = await mkdtemp(join(tmpdir(), 'weblora-cli-tiers-'));
afterAll(() => rm(folder, { recursive: true }));

describe('the store', () => {
  test('is the folder that was named, with its budget', async () => {
    const { host, started } = testHost();
    const path = join(folder, 'kept');
    expect(await main([...chat, '--store', path, '--disk-memory', '2G'], host)).toBe(0);
    expect(started.options).toMatchObject({ memory: { disk: 2 ** 31 } });
    const { store } = started.options!;
    await store!.put([['m:a', Uint8Array.of(1)]]);
    expect(await store!.get('m:a')).toEqual(Uint8Array.of(1));
    expect(await readdir(path)).not.toEqual([]);
  });

  test('that failed is said, asked for counters or not', async () => {
    const failing = { failures: 2, lastFailure: 'no space left' };
    const { host, written } = testHost({ disk: failing });
    expect(await main(chat, host)).toBe(0);
    expect(written.err).toContain('weblora: the folder of --store failed 2 times, at last: no space left. ');
    const batch = testHost({ disk: { failures: 1 } });
    expect(await main(['run-batch', '-i', '-', '-o', '-', '--model', 'm'], batch.host)).toBe(0);
    expect(batch.written.err).toContain('weblora: the folder of --store failed once. ');
  });
});

describe('adapters', () => {
  test('may be hub ids; what was typed takes the place of what a store knew', async () => {
    const { host, started } = testHost();
    const added: unknown[] = [];
    const { createEngine } = host;
    const engine: typeof createEngine = async (options) => {
      const made = await createEngine(options);
      const add: typeof made.adapters.add = async (...given) => {
        added.push(given);
        await made.adapters.add(...given);
      };
      return { ...made, adapters: { ...made.adapters, add } };
    };
    const modules = ['json=owner/name', 'sql=owner/name@refs/pr/1', 'url=https://example.org/a?b=c'];
    expect(await main(['chat', 'owner/base@v1', '--message', 'Hi', '--lora-modules', ...modules], { ...host, createEngine: engine })).toBe(
      0,
    );
    expect(started.options).toMatchObject({ model: 'owner/base@v1' });
    expect(added).toEqual([
      ['json', 'owner/name', { replace: true }],
      ['sql', 'owner/name@refs/pr/1', { replace: true }],
      ['url', 'https://example.org/a?b=c', { replace: true }],
    ]);
  });

  describe('are served as their origin has them now', () => {
    type Adapters = CoreEngine['adapters'];
    const run = async (load: Adapters['load'], list: Awaited<ReturnType<Adapters['list']>> = []) => {
      const { host, written } = testHost();
      const createEngine: Host['createEngine'] = async (options) => {
        const made = await host.createEngine(options);
        return { ...made, adapters: { ...made.adapters, load, list: async () => list } };
      };
      const code = await main(['chat', 'm', '--message', 'Hi', '--lora-modules', 'json=out'], { ...host, createEngine });
      return { code, err: written.err };
    };
    const kept: AdapterInfo = { id: 'json', source: 'out', tier: 'disk', pinned: false, digest: 'd' };
    const failing =
      (code: ErrorCode, asked: unknown[]): Adapters['load'] =>
      async (_, options) => {
        asked.push(options?.revalidate);
        if (options?.revalidate) throw new WebLoraError(code, 'network is unreachable');
        return kept;
      };

    test('or as they were kept, where it cannot be asked', async () => {
      const asked: unknown[] = [];
      const { code, err } = await run(failing('file_unreadable', asked), [kept]);
      expect([code, asked]).toEqual([0, [true, undefined]]);
      expect(err).toContain("adapter 'json' (out) is served as it was kept, unasked whether it changed: network is unreachable");
    });

    test('not where it is gone, and not where nothing was kept', async () => {
      const asked: unknown[] = [];
      const outcomes = [await run(failing('file_missing', asked), [kept]), await run(failing('file_unreadable', asked))];
      for (const { code, err } of outcomes) {
        expect(code).toBe(1);
        expect(err).toContain("adapter 'json' (out) cannot be served: network is unreachable");
      }
      expect(asked).toEqual([true, true]);
    });
  });

  test('that cannot be served are named with their source', async () => {
    const { host, written } = testHost({ broken: { json: 'no such commit' } });
    expect(await main(['chat', 'm', '--message', 'Hi', '--lora-modules', 'json=owner/name@abc'], host)).toBe(1);
    expect(written.err).toContain("adapter 'json' (owner/name@abc) cannot be served: no such commit");
  });
});

describe('counters', () => {
  test('tell of every tier there is', async () => {
    const { host, written } = testHost();
    await main([...chat, '--stats'], host);
    const lines = written.err.split('\n');
    expect(lines).toContain('adapters: 8 registered');
    expect(lines).toContain(
      '  gpu: 3 of 4 found on the GPU (75 %); 8 loads, 2 evictions; 3.0 MiB of 64.0 MiB; 0.0 ms (p95 0.0, most 0.0) each',
    );
    expect(written.err).toMatch(/^ {2}heap: 2 of 8 found in memory \(25 %\); 6 loads, 0 evictions; 0\.5 MiB of 256\.0 MiB;/m);
    expect(written.err).not.toMatch(/^ {2}disk:/m);
    expect(lines).toContain('  origin: 6 read, 9.0 MiB, 1 failed; 80.0 ms (p95 90.0, most 100.0) each');
    expect(JSON.parse(written.err.trimEnd().split('\n').at(-1)!)).toMatchObject({ registered: 8, tiers: { heap: { misses: 6 } } });
  });

  test('tell of the store where there is one', async () => {
    const { host, written } = testHost({ disk: { budget: 2 ** 30, bytes: 2 ** 20, hits: 1, misses: 3 } });
    await main([...chat, '--stats'], host);
    expect(written.err).toMatch(/^ {2}disk: 1 of 4 found in the store \(25 %\); .* 1\.0 MiB of 1024\.0 MiB;/m);
  });
});

test('help tells of stores and hub ids', () => {
  const { out } = parse('chat', '--help');
  for (const word of ['--store', '--heap-memory', '--disk-memory', 'owner/name@revision']) expect(out).toContain(word);
});
