import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build, preview, type InlineConfig } from 'vite';
import { originOf, sourceAliases } from '../../test/browser/harness.ts';
import { shaderText } from '../../tools/shader-text.mjs';
import { here, root } from './files.ts';
import { GGUF_ADDRESS } from './gguf-subject.ts';

/** What a page may have threads with. */
const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

/** What lies beside the page; a model that is not compared is not there. */
export interface Served {
  readonly packages: string;
  readonly onnx: string | undefined;
  readonly gguf: string | undefined;
}

/**
 * Builds the page as an app would have it, and serves it isolated from other origins, with the packages and both forms of the model
 * beside it.
 */
export async function servePage({ packages, onnx, gguf }: Served): Promise<{ readonly origin: string; close(): Promise<void> }> {
  const cache = join(root, '.cache/bench');
  mkdirSync(cache, { recursive: true });
  const outDir = mkdtempSync(join(cache, 'peers-page-'));
  const remove = (): void => rmSync(outDir, { recursive: true, force: true });
  process.once('exit', remove);
  const common: InlineConfig = { root: here, configFile: false, logLevel: 'error', publicDir: false, appType: 'mpa' };
  await build({
    ...common,
    plugins: [shaderText()],
    resolve: { alias: sourceAliases },
    build: { outDir, emptyOutDir: true, target: 'es2022', rolldownOptions: { input: join(here, 'page.html') } },
  });
  const frontdesk = join(root, 'public/models/frontdesk');
  const paths = { packages, 'models/onnx': onnx, 'models/frontdesk': frontdesk, [GGUF_ADDRESS.slice(1)]: gguf };
  for (const [name, path] of Object.entries(paths)) {
    if (path === undefined) continue;
    mkdirSync(dirname(join(outDir, name)), { recursive: true });
    symlinkSync(path, join(outDir, name), path === gguf ? 'file' : 'junction');
  }
  const server = await preview({ ...common, build: { outDir }, preview: { port: 0, host: 'localhost', headers } });
  return {
    origin: originOf(server),
    close: async () => {
      await server.close();
      remove();
    },
  };
}
