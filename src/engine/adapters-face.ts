import { WebLoraError } from '../errors.ts';
import type { AdapterEntry } from './adapter-entry.ts';
import { requireOpen, type Serving } from './serving.ts';
import type { Adapters } from './types.ts';

/** Options that are not there yet must not be dropped in silence. */
function refuseMore(call: string, rest: readonly unknown[]): void {
  if (rest.length > 0) throw new TypeError(`${call}: unknown option ${JSON.stringify(rest[0])}`);
}

/** `engine.adapters` of a running engine. */
export function adaptersFace(serving: Serving): Adapters {
  const { tiers, loop } = serving;
  const open = (): void => requireOpen(serving);
  return {
    add: async (id, source, ...rest) => {
      open();
      refuseMore('adapters.add', rest);
      if (typeof id !== 'string' || id === '') {
        throw new WebLoraError('request_invalid', `An adapter id is a string that is not empty, not ${String(id)}`, { param: 'id' });
      }
      if (tiers.add(id, source)) tiers.sweep(loop.adaptersInUse);
    },
    load: async (id, { signal, ...rest } = {}) => {
      open();
      refuseMore('adapters.load', Object.keys(rest));
      signal?.throwIfAborted();
      const entry = tiers.use(id);
      await tiers.read(entry, signal);
      open();
      if (!tiers.place(entry)) throw noRoom(serving, entry);
      loop.wake(); // requests may wait for it
      return tiers.describe(entry);
    },
    unload: async (id) => {
      open();
      tiers.unload(id);
      loop.wake();
    },
    remove: async (id) => {
      open();
      const forgotten = tiers.remove(id);
      tiers.sweep(loop.adaptersInUse);
      await forgotten;
    },
    list: async (...rest) => {
      open();
      refuseMore('adapters.list', rest);
      return tiers.list();
    },
  };
}

function noRoom({ core }: Serving, { id }: AdapterEntry): WebLoraError {
  const { total, kv, adapters } = core.pages.counts();
  const held = `${total} pages (${kv} with requests, ${adapters} with adapters in use)`;
  return new WebLoraError('out_of_memory', `No room for "${id}" among the pool's ${held}. Wait, or raise memory.pool.`);
}
