import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { shaderText } from '../../tools/shader-text.mjs';
import { mutantPlugin } from '../mutants/plugin.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A script of one file, in a folder that `remove` deletes. */
export interface Bundle {
  readonly file: string;
  remove(): void;
}

/**
 * Bundles a module of the project with everything that it imports, shaders included as the package has them, into one file that a runtime can load as
 * it is.
 *
 * @param entry path from the project's root.
 */
export async function bundle(entry: string): Promise<Bundle> {
  const outDir = mkdtempSync(join(tmpdir(), 'weblora-bundle-'));
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    plugins: [mutantPlugin(root), shaderText()],
    build: {
      outDir,
      target: 'esnext',
      minify: false,
      copyPublicDir: false,
      lib: { entry: join(root, entry), formats: ['es'], fileName: 'bundle' },
      rolldownOptions: {
        external: (id) => /^(node|npm):/.test(id),
        output: { codeSplitting: false, entryFileNames: 'bundle.js' },
      },
    },
  });
  return { file: join(outDir, 'bundle.js'), remove: () => rmSync(outDir, { recursive: true, force: true }) };
}
