// Finishes the declaration files that tsc wrote: specifiers name `.js` files, as every resolver of every TypeScript expects, files
// that no entry point leads to are dropped, and no type of WebGPU may show in what is left.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../dist/types/', import.meta.url));
const SPECIFIER = /(from\s+|import\(\s*|import\s+)(['"])(\.[^'"]+)\.ts\2/g;

const reached = new Set();
for (const entry of ['index.d.ts', 'worker.d.ts', 'node.d.ts']) visit(resolve(root, entry));
for (const name of readdirSync(root, { recursive: true })) {
  const path = join(root, String(name));
  if (path.endsWith('.d.ts') && !reached.has(path)) rmSync(path);
}

function visit(path) {
  if (reached.has(path)) return;
  reached.add(path);
  const text = readFileSync(path, 'utf8');
  const shown = /^(?!\s*(?:\*|\/)).*\bGPU[A-Z]\w*/m.exec(text);
  if (shown !== null) throw new Error(`${path}: a public declaration names a WebGPU type: ${shown[0].trim()}`);
  for (const [, , , specifier] of text.matchAll(SPECIFIER)) visit(resolve(dirname(path), `${specifier}.d.ts`));
  // `await using` is newer than many apps' `lib`: without the reference its type has no name there.
  const reference = text.includes('AsyncDisposable') ? '/// <reference lib="esnext.disposable" />\n' : '';
  writeFileSync(path, reference + text.replace(SPECIFIER, '$1$2$3.js$2'));
}
