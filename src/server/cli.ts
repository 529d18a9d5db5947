#!/usr/bin/env node
import { createRequire } from 'node:module';
import process from 'node:process';
import { main } from './cli-main.ts';

const interrupt = new AbortController();
const onSignal = (): void => {
  // The first asks for a clean end; who asks twice does not want to wait for it.
  if (interrupt.signal.aborted) process.exit(130);
  interrupt.abort(new DOMException('interrupted', 'AbortError'));
};
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);
// A reader that has gone is told by the write that failed.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

// By the package's own name: it is the same file from wherever this one is built to.
const { version } = createRequire(import.meta.url)('weblora/package.json') as { readonly version: string };
const exitCode = await main(process.argv.slice(2), {
  version,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupt.signal,
  terminal: process.env.TERM === 'dumb' ? 'plain' : 'cursor',
  // Loaded when needed: help and usage errors come without the engine.
  dawn: async (options) => (await import('../node.ts')).dawn(options),
  createEngine: async (options) => (await import('../engine/engine.ts')).createEngine(options),
  diagnose: async (options) => (await import('../engine/diagnose.ts')).diagnose(options),
  profile: async (options) => (await import('../engine/profile.ts')).profile(options),
});
// Dawn keeps the process alive; pipes may still hold text.
for (const stream of [process.stdout, process.stderr]) await new Promise<void>((resolve) => stream.write('', () => resolve()));
process.exit(exitCode);
