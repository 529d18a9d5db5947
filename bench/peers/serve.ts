import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build, preview, type InlineConfig } from 'vite';
import { originOf, sourceAliases } from '../../test/browser/harness.ts';
import { shaderText } from '../../tools/shader-text.mjs';
import { here, root } from './files.ts';

/** What a page may have threads with. */
const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

/**
 * Builds the page as an app would have it, and serves it isolated from other origins, with the packages and both forms of the model
 * beside it.
 */
export async function servePage(packages: string, onnx: string): Promise<{ readonly origin: string; close(): Promise<void> }> {
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
  const folders = { packages, 'models/onnx': onnx, 'models/frontdesk': join(root, 'public/models/frontdesk') };
  for (const [name, folder] of Object.entries(folders)) {
    mkdirSync(dirname(join(outDir, name)), { recursive: true });
    symlinkSync(folder, join(outDir, name), 'junction');
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
