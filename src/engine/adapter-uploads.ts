import type { Placement } from '../adapters/cache.ts';
import type { AdapterPool, Upload } from '../adapters/pool.ts';
import type { PackedAdapter } from '../adapters/sites.ts';

/** Adapters on their way from memory onto the GPU, one after the other, a few milliseconds at a time between two steps. */
export interface Uploads {
  begin(content: string, placement: Placement, packed: PackedAdapter): void;
  /** Goes on for so long; calls `written` for each that is all there. */
  go(ms: number): void;
  isIdle(): boolean;
  has(content: string): boolean;
  /** Ends when it is there, or its place is another's. Throws what kept it from its place. */
  ended(content: string): Promise<void>;
  /** Its place is another's. */
  cancel(content: string): void;
  clear(): void;
}

interface Open {
  readonly content: string;
  readonly placement: Placement;
  readonly packed: PackedAdapter;
  upload: Upload;
  readonly began: number;
}

export interface UploadListener {
  /** It is all there, so many milliseconds after `begin`. */
  written(content: string, ms: number): void;
  /** One failed. `made`: the device had no room for what it has outside the pool, and somebody else has left for it. */
  makeRoom(error: unknown): 'made' | 'none';
  /** It failed, and there is no room to make. */
  failed(content: string, error: unknown): void;
}

export function createUploads(pool: () => AdapterPool, { written, makeRoom, failed }: UploadListener): Uploads {
  let line: Open[] = [];
  const waiting = new Map<string, ((failure?: { readonly error: unknown }) => void)[]>();
  const end = (content: string, failure?: { readonly error: unknown }): void => {
    const told = waiting.get(content) ?? [];
    waiting.delete(content);
    for (const tell of told) tell(failure);
  };
  /** `over`: it ended, and not well. */
  const step = (open: Open, ms: number): 'done' | 'more' | 'over' => {
    const { content, placement, packed } = open;
    try {
      return open.upload.step(ms);
    } catch (error) {
      if (makeRoom(error) === 'made') {
        open.upload = pool().begin(placement, packed);
        return 'more';
      }
      line = line.filter((other) => other !== open);
      end(content, { error });
      failed(content, error);
      return 'over';
    }
  };
  const has = (content: string): boolean => line.some((open) => open.content === content);
  const cancel = (content: string): void => {
    line = line.filter((open) => open.content !== content);
    end(content);
  };
  return {
    begin: (content, placement, packed) => {
      line.push({ content, placement, packed, upload: pool().begin(placement, packed), began: performance.now() });
    },
    go: (ms) => {
      const until = performance.now() + ms;
      for (let first = line[0]; first !== undefined; first = line[0]) {
        const left = until - performance.now();
        const state = left <= 0 ? 'more' : step(first, left);
        if (state === 'more') return;
        if (state === 'over') continue;
        line.shift();
        written(first.content, performance.now() - first.began);
        end(first.content);
      }
    },
    isIdle: () => line.length === 0,
    has,
    ended: (content) => {
      if (!has(content)) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const told = (failure?: { readonly error: unknown }): void => (failure ? reject(failure.error) : resolve());
        waiting.set(content, [...(waiting.get(content) ?? []), told]);
      });
    },
    cancel,
    clear: () => {
      for (const { content } of [...line]) cancel(content);
    },
  };
}
