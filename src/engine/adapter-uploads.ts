import type { Placement } from '../adapters/cache.ts';
import type { AdapterPool, Upload } from '../adapters/pool.ts';
import type { PackedAdapter } from '../adapters/sites.ts';

/** Adapters on their way from memory onto the GPU, one after the other, a few milliseconds at a time between two steps. */
export interface Uploads {
  begin(content: string, placement: Placement, packed: PackedAdapter): void;
  /** Goes on for so long; calls `written` for each that is all there. */
  go(ms: number): void;
  isIdle(): boolean;
  /** Ends when it is there, or its place is another's. */
  ended(content: string): Promise<void>;
  /** Its place is another's. */
  cancel(content: string): void;
  clear(): void;
}

interface Open {
  readonly content: string;
  readonly upload: Upload;
  readonly began: number;
}

/** `written`: told of the milliseconds since `begin`, too. */
export function createUploads(pool: () => AdapterPool, written: (content: string, ms: number) => void): Uploads {
  let line: Open[] = [];
  const waiting = new Map<string, (() => void)[]>();
  const end = (content: string): void => {
    const told = waiting.get(content) ?? [];
    waiting.delete(content);
    for (const tell of told) tell();
  };
  const cancel = (content: string): void => {
    line = line.filter((open) => open.content !== content);
    end(content);
  };
  return {
    begin: (content, placement, packed) => {
      line.push({ content, upload: pool().begin(placement, packed), began: performance.now() });
    },
    go: (ms) => {
      const until = performance.now() + ms;
      for (let first = line[0]; first !== undefined; first = line[0]) {
        const left = until - performance.now();
        if (left <= 0 || first.upload.step(left) === 'more') return;
        line.shift();
        written(first.content, performance.now() - first.began);
        end(first.content);
      }
    },
    isIdle: () => line.length === 0,
    ended: (content) => {
      if (!line.some((open) => open.content === content)) return Promise.resolve();
      return new Promise((resolve) => waiting.set(content, [...(waiting.get(content) ?? []), resolve]));
    },
    cancel,
    clear: () => {
      for (const { content } of [...line]) cancel(content);
    },
  };
}
