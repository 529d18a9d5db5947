// Compiles wasm/slices.ts (AssemblyScript) to src/formats/slices-wasm.ts. The compiler is fetched for that alone: it is 100 MB, and a test
// sees whether what is here was made from the source that is here.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ASSEMBLYSCRIPT = 'assemblyscript@0.28.20';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'wasm/slices.ts');
const folder = mkdtempSync(join(tmpdir(), 'weblora-wasm-'));
const out = join(folder, 'slices.wasm');
const options = ['-O3', '--converge', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--use', 'abort='];
execFileSync('npx', ['--yes', '--package', ASSEMBLYSCRIPT, 'asc', source, ...options, '-o', out], { stdio: 'inherit' });
const bytes = readFileSync(out);
rmSync(folder, { recursive: true });

const digest = createHash('sha256').update(readFileSync(source)).digest('hex');
const lines = [
  `// Made by tools/wasm.mjs from wasm/slices.ts with ${ASSEMBLYSCRIPT}.`,
  `/** SHA-256 of that source. */`,
  `export const SOURCE = '${digest}';`,
  `/** The module, in base64. */`,
  `export const MODULE =`,
  `  '${bytes.toString('base64')}';`,
];
writeFileSync(join(root, 'src/formats/slices-wasm.ts'), `${lines.join('\n')}\n`);
console.log(`${bytes.length} bytes`);
