import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { main } from '../../src/server/cli-main.ts';
import { chat, parse, testHost } from './cli-harness.ts';
import { report } from './doctor-report.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weblora-doctor-'));
});

afterAll(() => rm(folder, { recursive: true }));

describe('weblora doctor', () => {
  test('understands its words', () => {
    expect(parse('doctor').args).toEqual({ command: 'doctor', json: undefined, software: false, debug: false });
    expect(parse('doctor', '--json', 'a.json', '--software', '--debug').args).toEqual({
      ...{ command: 'doctor', json: 'a.json', software: true, debug: true },
    });
    expect(parse('doctor', '--json', ' ').args).toEqual({ command: 'ended', exitCode: 2 });
    expect(parse('doctor', 'models/base').args).toEqual({ command: 'ended', exitCode: 2 });
  });

  test('prints what it found for people, and what it does meanwhile on standard error', async () => {
    const { host, written } = testHost();
    expect(await main(['doctor'], host)).toBe(0);
    expect(written.err).toBe('1 of 1: checking\n');
    expect(written.out).toContain(
      'acme chip; v20\nfeatures: subgroups\nlimits: 128 MiB a binding, 256 MiB a buffer, 16384 bytes a workgroup\n',
    );
    expect(written.out).toContain('1 variants checked against plain loops, all of them sound\n');
    expect(written.out).toContain(
      'serving in half: matmul narrow tile; shrink narrow; expand narrow; attention narrow; norm narrow row; sampler narrow chunks\n',
    );
    expect(written.out).toMatch(
      / {2}matmul: f16, 8 rows\n {4}wide row +0\.125 \(0\.100 to 0\.200\)\n {4}plain +1\.000 \(0\.900 to 1\.500\)\n/,
    );
    expect(written.out).toContain('1 pipelines compiled, the slowest in 32 ms (matmul-tile)\n');
  });

  test('says what is wrong, and fails only where nothing serves', async () => {
    const checks = [{ precision: 'half', kernel: 'shrink', family: 'wide', variant: 'wide', wrong: 'v in row 0 is NaN' }] as const;
    const quarantine = testHost({ report: report({ checks }) });
    expect(await main(['doctor'], quarantine.host)).toBe(0);
    expect(quarantine.written.out).toContain('1 wrong\n  half: wide wide of shrink: v in row 0 is NaN\n');
    const { serving } = report();
    const hopeless = testHost({ report: report({ serving: { ...serving, half: 'acme computes shrink wrongly' } }) });
    expect(await main(['doctor'], hopeless.host)).toBe(1);
    expect(hopeless.written.out).toContain('serving in half: acme computes shrink wrongly\n');
  });

  test('writes the report whole, with the version, into a file or in place of the text', async () => {
    const path = join(folder, 'report.json');
    const filed = testHost();
    expect(await main(['doctor', '--json', path], filed.host)).toBe(0);
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ weblora: '1.2.3', ...report() });
    expect(filed.written.out).toContain('acme chip');
    expect(filed.written.err).toContain(`The whole report is in ${path}.`);
    const piped = testHost();
    expect(await main(['doctor', '--json', '-'], piped.host)).toBe(0);
    expect(JSON.parse(piped.written.out)).toEqual({ weblora: '1.2.3', ...report() });
  });

  test('looks for its file’s place before it looks at the device, and leaves nothing where that fails', async () => {
    const nowhere = testHost();
    expect(await main(['doctor', '--json', join(folder, 'no', 'report.json')], nowhere.host)).toBe(1);
    expect(nowhere.written.err).toMatch(/there is no such folder to write to/);
    const { host, written } = testHost();
    const failing = { ...host, diagnose: () => Promise.reject(new Error('no device')) };
    expect(await main(['doctor', '--json', join(folder, 'other.json')], failing)).toBe(1);
    expect(written.err).toContain('no device');
    expect(await readdir(folder)).toEqual(['report.json']);
  });
});

describe('--kernels', () => {
  test('goes to the engine, and no other name is taken', async () => {
    expect(parse(...chat, '--kernels', 'plain').args).toMatchObject({ kernels: 'plain' });
    expect(parse(...chat).args).toMatchObject({ kernels: undefined });
    expect(parse(...chat, '--kernels', 'fast').args).toEqual({ command: 'ended', exitCode: 2 });
    const { host, started } = testHost();
    expect(await main([...chat, '--kernels', 'wide'], host)).toBe(0);
    expect(started.options).toMatchObject({ kernels: 'wide' });
  });
});
