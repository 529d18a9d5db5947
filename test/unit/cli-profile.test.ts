import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { main } from '../../src/server/cli-main.ts';
import { parse, testHost } from './cli-harness.ts';
import { profileReport } from './profile-report.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weblora-profile-'));
});

afterAll(() => rm(folder, { recursive: true }));

const words = ['doctor', '--profile', 'models/base'];

describe('weblora doctor --profile', () => {
  test('understands its words', () => {
    const nothing = { precision: undefined, quantize: undefined, kernels: undefined, rows: undefined, context: undefined };
    expect(parse(...words).args).toEqual({
      ...{ command: 'profile', model: 'models/base', modules: [], json: undefined, software: false, debug: false },
      ...{ ...nothing, promptRows: undefined, poolMemory: undefined },
    });
    const steps = ['--rows', '4', '--context', '300', '--prompt-rows', '32', '--pool-memory', '1G'];
    const engine = ['--precision', 'half', '--quantize', 'q4', '--kernels', 'wide', '--software', '--debug', '--json', 'a.json'];
    expect(parse(...words, ...steps, ...engine, '--lora-modules', 'a=b', 'c=d').args).toEqual({
      ...{ command: 'profile', model: 'models/base', json: 'a.json', software: true, debug: true, precision: 'half', quantize: 'q4' },
      ...{ kernels: 'wide', rows: 4, context: 300, promptRows: 32, poolMemory: 2 ** 30 },
      modules: [
        { name: 'a', source: 'b' },
        { name: 'c', source: 'd' },
      ],
    });
    expect(parse(...words, '--rows', '0').args).toEqual({ command: 'ended', exitCode: 2 });
    expect(parse('doctor', '--profile', ' ').args).toEqual({ command: 'ended', exitCode: 2 });
  });

  test.each([
    ['--rows', '4'],
    ['--lora-modules', 'a=b'],
    ['--prompt-rows', '4'],
    ['--kernels', 'wide'],
  ])('%s means nothing without it', (option, value) => {
    const { args, err } = parse('doctor', option, value);
    expect(args).toEqual({ command: 'ended', exitCode: 2 });
    expect(err).toContain(`error: ${option} needs --profile`);
  });

  test('asks for what was typed, and for nothing that was not', async () => {
    const { host, started } = testHost();
    expect(await main([...words, '--rows', '4', '--pool-memory', '1G', '--lora-modules', 'a=b'], host)).toBe(0);
    const { gpu, signal, onProgress, ...rest } = started.profile!;
    expect(rest).toEqual({ model: 'models/base', adapters: ['b'], rows: 4, memory: { pool: 2 ** 30 } });
    expect([gpu, signal, onProgress].every((each) => each !== undefined)).toBe(true);
  });

  test('prints where the time goes for people, and what it does meanwhile on standard error', async () => {
    const { host, written } = testHost();
    expect(await main(words, host)).toBe(0);
    expect(written.err).toBe('1 of 1: loading the model\n');
    expect(written.out).toBe(
      [
        'acme chip; v20',
        'small, half, 2 adapters; times by the device’s timestamps',
        'at most: 12346 GFLOP/s, 457 GB/s, 89.1 G loads/s; a launch takes 2 µs',
        '',
        'decode: 8 rows, up to 128 keys, 2.000 ms (1.500 to 4.000)',
        '  kernel                        dispatches     ms  GFLOP/s  GB/s  floor  of floor  of step',
        '  wide-matmul-row, gate and up           4  1.500     1235   300  1.000      1.50   75.0 %',
        '  wide-rms-norm                          9  0.250   0.0123   1.5  0.125      2.00   12.5 %',
        '  kernels 1.750 ms + gaps 0.250 ms = step 2.000 ms',
        '  floors 1.125 ms, of which 13 launches 0.026 ms; step of floors 1.78',
        '',
        'all of it took 4.2 s',
        '',
      ].join('\n'),
    );
  });

  test('writes the report whole, with the version, into a file or in place of the text', async () => {
    const path = join(folder, 'report.json');
    const filed = testHost();
    expect(await main([...words, '--json', path], filed.host)).toBe(0);
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ weblora: '1.2.3', ...profileReport() });
    expect(filed.written.err).toContain(`The whole report is in ${path}.`);
    const piped = testHost();
    expect(await main([...words, '--json', '-'], piped.host)).toBe(0);
    expect(JSON.parse(piped.written.out)).toEqual({ weblora: '1.2.3', ...profileReport() });
  });

  test('leaves no file where it fails', async () => {
    const { host, written } = testHost();
    const failing = { ...host, profile: () => Promise.reject(new Error('no device')) };
    expect(await main([...words, '--json', join(folder, 'other.json')], failing)).toBe(1);
    expect(written.err).toContain('no device');
    expect(await readdir(folder)).toEqual(['report.json']);
  });
});
