import { PassThrough } from 'node:stream';
import type { DoctorReport } from '../../src/engine/doctor-report.ts';
import type { EngineOptions } from '../../src/engine/types.ts';
import { parseArguments } from '../../src/server/cli-arguments.ts';
import type { Host } from '../../src/server/cli-host.ts';
import type { ProfileOptions, ProfileReport } from '../../src/engine/profile-report.ts';
import { report } from './doctor-report.ts';
import { fakeEngine } from './fake-engine.ts';
import { profileReport } from './profile-report.ts';
import type { FakeEngine, FakeOptions } from './fake-engine.ts';

/** What these words ask for, and what was written about them. */
export function parse(...words: readonly string[]): {
  readonly args: ReturnType<typeof parseArguments>;
  readonly err: string;
  readonly out: string;
} {
  let err = '';
  let out = '';
  const args = parseArguments(words, { version: '1.2.3', out: (text) => (out += text), err: (text) => (err += text) });
  return { args, err, out };
}

/** A host whose streams are kept as text. */
export function testHost(
  options: FakeOptions & { readonly stdin?: string; readonly report?: DoctorReport; readonly profile?: ProfileReport } = {},
) {
  const written = { out: '', err: '' };
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  stdout.on('data', (chunk: unknown) => (written.out += String(chunk)));
  stderr.on('data', (chunk: unknown) => (written.err += String(chunk)));
  const interrupt = new AbortController();
  const started: { engine?: FakeEngine; options?: EngineOptions; profile?: ProfileOptions } = {};
  const host: Host = {
    version: '1.2.3',
    stdin: (async function* () {
      yield new TextEncoder().encode(options.stdin ?? '');
    })(),
    stdout,
    stderr,
    signal: interrupt.signal,
    terminal: 'plain',
    dawn: async () => ({ requestAdapter: async () => null }),
    createEngine: async (asked) => {
      started.engine = fakeEngine(options);
      started.options = asked;
      return started.engine;
    },
    diagnose: async (asked) => {
      asked.onProgress?.({ done: 0, total: 1, next: 'checking' });
      return options.report ?? report();
    },
    profile: async (asked) => {
      started.profile = asked;
      asked.onProgress?.({ done: 0, total: 1, next: 'loading the model' });
      return options.profile ?? profileReport();
    },
  };
  return { host, stdout, written, interrupt, started };
}

/** A chat with two adapters. */
export const chat = ['chat', 'models/base', '--message', 'Hi', '--lora-modules', 'json=a/json', 'sql=a/sql'];
