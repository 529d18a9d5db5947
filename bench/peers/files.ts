import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root. */
export const root = fileURLToPath(new URL('../../', import.meta.url));
/** This bench's folder, a package of its own. */
export const here = join(root, 'bench/peers');
/** The base model as transformers.js reads it. */
export const ONNX = join(root, '../shared/models/frontdesk/onnx');

const FILES = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx/model.onnx'];
/** The file that this library and wllama both read. */
export const GGUF = join(root, '.cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf');
const NEEDED = [
  '@wllama/wllama/esm/wasm/wllama.wasm',
  '@xenova/transformers/dist/transformers.min.js',
  'onnxruntime-web/dist/ort-wasm-simd-threaded.wasm',
];

/** The folder of the ONNX model. Throws `Error` that names the first file that is not there. */
export function checkOnnx(folder: string): string {
  const path = resolve(folder);
  const missing = FILES.find((name) => !existsSync(join(path, name)));
  if (missing === undefined) return path;
  throw new Error(
    `No ${join(path, missing)}: transformers.js needs the small model as ONNX. Name a folder with ${FILES.join(', ')} by --onnx FOLDER ` +
      "(float32; onnxruntime-genai's builder makes it from public/models/frontdesk/base)",
  );
}

/** The GGUF. Throws `Error` where it is not there. */
export function checkGguf(file: string): string {
  const path = resolve(file);
  if (existsSync(path)) return path;
  throw new Error(
    `No ${path}: wllama and we read one GGUF. "node tools/fetch-smollm2.mjs" fetches SmolLM2-135M's; --gguf FILE names another`,
  );
}

/** Installs this folder's own packages, at the versions of its lock file, unless they are there. Throws `Error` where that fails. */
export function checkPackages(): string {
  const packages = join(here, 'node_modules');
  const missing = (): string | undefined => NEEDED.find((name) => !existsSync(join(packages, name)));
  if (missing() === undefined) return packages;
  console.error('Installing transformers.js and wllama into bench/peers');
  // what it says goes to standard error: standard output is the table
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: here, stdio: ['ignore', 2, 2], shell: true });
  const still = missing();
  if (status === 0 && still === undefined) return packages;
  throw new Error(`npm ci in ${here} ended with ${status}${still === undefined ? '' : `, and ${still} is not there`}`);
}
