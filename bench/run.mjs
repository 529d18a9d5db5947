// Runs a bench under Node: `node bench/run.mjs NAME [options]` runs bench/NAME/main.ts, whose `main` gets the options.
// It is bundled first, so that it runs at the speed of plain modules; `weblora` is the sources beside it.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'vite';
import { shaderText } from '../tools/shader-text.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const benches = readdirSync(join(root, 'bench')).filter((name) => existsSync(join(root, 'bench', name, 'main.ts')));
const [name, ...options] = process.argv.slice(2);
if (!benches.includes(name)) {
  console.error(`There is no bench ${name ?? 'without a name'}: node bench/run.mjs ${benches.join('|')} [--json FILE]`);
  process.exit(2);
}

// One folder for each run: two runs of one bench do not take each other's files away.
const folder = join(root, '.cache/bench', `${name}-${process.pid}`);
mkdirSync(folder, { recursive: true });
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
await build({
  root,
  configFile: false,
  logLevel: 'error',
  plugins: [shaderText(), sourceUrls()],
  resolve: {
    alias: [
      { find: /^weblora$/, replacement: join(root, 'src/index.ts') },
      { find: /^weblora\/node$/, replacement: join(root, 'src/node.ts') },
    ],
  },
  build: {
    ssr: join(root, 'bench', name, 'main.ts'),
    outDir: folder,
    target: 'node20',
    minify: false,
    sourcemap: true,
    copyPublicDir: false,
    rolldownOptions: { output: { entryFileNames: 'main.mjs', chunkFileNames: '[name]-[hash].mjs' } },
  },
});
process.setSourceMapsEnabled(true);
const { main } = await import(pathToFileURL(join(folder, 'main.mjs')).href);
if (typeof main !== 'function') throw new Error(`bench/${name}/main.ts exports no function main(options)`);
await main(options);

/** In the files of benches, and of the tests whose browser they share, `import.meta.url` is the address of the file as it is written. */
function sourceUrls() {
  const own = [join(root, 'bench/'), join(root, 'test/')];
  return {
    name: 'weblora-bench-urls',
    transform(code, id) {
      if (!own.some((folder) => id.startsWith(folder)) || !code.includes('import.meta.url')) return undefined;
      return { code: code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href)), map: null };
    },
  };
}
