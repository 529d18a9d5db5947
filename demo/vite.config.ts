import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The policy of index.html, and what only a header can say. The worker's requests are held by this one alone. */
const policy = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self' https: http://localhost:*",
  "worker-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
const headers = { 'content-security-policy': policy, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' };

export default defineConfig({
  root: at('.'),
  // A file that is not there is an error, never index.html.
  appType: 'mpa',
  base: './',
  publicDir: at('../public'),
  resolve: {
    alias: [
      { find: /^weblora$/, replacement: at('../src/index.ts') },
      { find: /^weblora\/worker$/, replacement: at('../src/worker.ts') },
    ],
  },
  // The overlay brings styles of its own, which the policy refuses.
  server: { headers, hmr: { overlay: false }, fs: { allow: [at('..')] } },
  preview: { headers },
  // Named, so that none is found late and reloads the page.
  optimizeDeps: {
    include: [
      '@huggingface/jinja',
      '@huggingface/tokenizers',
      'comlink',
      'idb-keyval',
      'uplot',
      '@noble/hashes/legacy.js',
      '@noble/hashes/sha2.js',
    ],
  },
  worker: { format: 'es' },
  build: {
    rolldownOptions: { input: [at('./index.html'), at('./doctor.html')] },
    outDir: at('./dist'),
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
  },
});
