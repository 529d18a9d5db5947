// A tab with an engine that keeps adapters in IndexedDB.
import { connectEngine, createEngine, indexedDbStore, type AdapterEvent, type Engine, type EngineOptions } from 'weblora';
import { findBlobs, flipBlobs } from './store-found.ts';

export type Where = 'worker' | 'page';

/** What cannot be sent to a page is left out. */
export type StartOptions = Pick<EngineOptions, 'memory' | 'revalidateAfter'> & { readonly model: string };

const told: AdapterEvent[] = [];
let engine: Engine;

async function connect(options: EngineOptions): Promise<Engine> {
  const worker = new Worker(new URL('./store-worker.ts', import.meta.url), { type: 'module' });
  worker.addEventListener('message', ({ data }: MessageEvent<{ readonly write?: string } | undefined>) => {
    if (data?.write !== undefined) (globalThis as { writing?: (what: string) => void }).writing?.(data.write);
  });
  return connectEngine(worker, options);
}

const tab = {
  /** Starts the engine; the ids that its store knew. */
  start: async (where: Where, asked: StartOptions): Promise<readonly string[]> => {
    const options: EngineOptions = { ...asked, kernels: 'plain' }; // loops compile in a moment, and what is looked at is what is kept
    engine = where === 'worker' ? await connect(options) : await createEngine({ ...options, store: indexedDbStore() });
    void (async () => {
      for await (const { adapters } of engine.events()) told.push(...adapters);
    })();
    return (await engine.adapters.list()).map(({ id }) => id);
  },
  add: (id: string, url: string) => engine.adapters.add(id, url),
  unload: (id: string) => engine.adapters.unload(id),
  /** Greedy tokens; or the code and the words of what it threw. */
  answer: async (adapter: string, prompt: readonly number[], maxTokens: number): Promise<readonly number[] | string> => {
    try {
      return (await engine.generate(prompt, { adapter, maxTokens, ignoreEos: true }).result()).tokens;
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      return `${code ?? 'no code'}: ${message}`;
    }
  },
  /** The nearest tier of every adapter. */
  tiers: async () => Object.fromEntries((await engine.adapters.list()).map(({ id, tier }) => [id, tier])),
  stats: async () => (await engine.stats()).tiers,
  events: () => told,
  close: () => engine.close(),
  /** Adds one to a number in the database, so many times, in turns with all tabs. What it is then. */
  count: async (times: number): Promise<number> => {
    const store = indexedDbStore();
    const add = async (): Promise<number> => {
      const sum = ((await store.get('sum'))?.[0] ?? 0) + 1;
      await new Promise((resolve) => setTimeout(resolve, 2)); // enough for others to read the same
      await store.put([['sum', Uint8Array.of(sum)]]);
      return sum;
    };
    let sum = 0;
    for (let i = 0; i < times; i++) sum = await store.exclusive(add);
    return sum;
  },
  found: findBlobs,
  flip: flipBlobs,
};

export type Tab = typeof tab;

Object.assign(globalThis, { tab });
