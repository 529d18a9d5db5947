import type { Progress } from '../engine/types.ts';
import type { Host } from './cli-host.ts';
import { bytesInWords } from './cli-values.ts';

/** Milliseconds between two lines on a terminal, and elsewhere. */
const [ON_TERMINAL, ELSEWHERE] = [100, 10_000];

/** What is fetched from the hub, on standard error: a line that is rewritten on a terminal, else a line a file and every ten seconds. */
export function downloadLine(host: Host): { readonly show: (progress: Progress) => void; readonly end: () => void } {
  const rewrites = host.stderr.isTTY === true && host.terminal === 'cursor';
  let last = -Infinity;
  let shown = '';
  return {
    show: ({ phase, file, loaded, total }) => {
      if (phase !== 'download') return;
      const now = performance.now();
      if (now - last < (rewrites ? ON_TERMINAL : ELSEWHERE) && (rewrites || file === shown)) return;
      [last, shown] = [now, file];
      const text = `fetching ${file}: ${bytesInWords(loaded)} of ${bytesInWords(total)}`;
      host.stderr.write(rewrites ? `\r${text.slice(0, (host.stderr.columns ?? 80) - 1)}\u001b[K` : `${text}\n`);
    },
    end: () => {
      if (rewrites && shown !== '') host.stderr.write('\r\u001b[K');
    },
  };
}
