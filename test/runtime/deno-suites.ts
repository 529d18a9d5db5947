// Runs in Deno: a case for each line of standard input (`{"suite", "name"}`), an answer for each on standard output.
import { createEngine } from '../../src/engine/engine.ts';
import type { GpuProvider } from '../../src/engine/types.ts';
import { sharedDevice } from '../shared-device.ts';
import { allSuites } from '../suites/all.ts';
import { runCase, type Asked } from '../suites/run.ts';

/** What this file uses of Deno. */
declare const Deno: {
  readonly args: readonly string[];
  readonly stdin: { readonly readable: ReadableStream<Uint8Array<ArrayBuffer>> };
  stat(path: string): Promise<unknown>;
  exit(code: number): never;
};

const [root, kind] = Deno.args as [string, 'deno' | 'dawn'];
const gpu = sharedDevice(kind === 'dawn' ? await dawn() : (navigator.gpu as GpuProvider));

async function dawn(): Promise<GpuProvider> {
  // Deno's own specifier, which TypeScript does not know.
  const { create } = (await import('npm:webgpu' as string)) as { create(flags: string[]): GpuProvider };
  return create([]);
}

const folder = async (path: string): Promise<string | undefined> =>
  Deno.stat(`${root}${path}`).then(
    () => `${root}${path}`,
    () => undefined,
  );

const suites = allSuites({ gpu, folder, createEngine: (options) => createEngine({ ...options, gpu }) });
let rest = '';
for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split('\n');
  rest = lines.pop()!;
  for (const line of lines) {
    const failure = await runCase(suites, JSON.parse(line) as Asked);
    console.log(`answer ${JSON.stringify({ failure })}`);
  }
}
// Dawn's threads would keep the process alive.
Deno.exit(0);
