import { WebLoraError } from '../errors.ts';
import { checkAddOptions, checkListOptions, checkLoadOptions } from './adapter-options.ts';
import { requireOpen, type Serving } from './serving.ts';
import type { AdapterInfo, Adapters, LoadOptions } from './types.ts';

/** `engine.adapters` of a running engine. */
export function adaptersFace(serving: Serving): Adapters {
  const { tiers } = serving;
  const open = (): void => requireOpen(serving);
  const load = async (id: string, options: LoadOptions, keep: 'pinned' | 'as is'): Promise<AdapterInfo> => {
    open();
    checkLoadOptions(keep === 'pinned' ? 'adapters.pin' : 'adapters.load', options);
    options.signal?.throwIfAborted();
    return tiers.load(id, options, keep);
  };
  return {
    add: async (id, source, options = {}) => {
      open();
      checkAddOptions(options);
      if (typeof id !== 'string' || id === '') {
        throw new WebLoraError('request_invalid', `An adapter id is a string that is not empty, not ${String(id)}`, { param: 'id' });
      }
      tiers.add(id, source, options.replace === true ? 'replace' : 'keep');
    },
    load: (id, options = {}) => load(id, options, 'as is'),
    pin: (id, options = {}) => load(id, options, 'pinned'),
    unpin: async (id) => {
      open();
      tiers.unpin(id);
    },
    unload: async (id) => {
      open();
      tiers.unload(id);
    },
    remove: async (id) => {
      open();
      await tiers.remove(id);
    },
    list: async (options = {}) => {
      open();
      checkListOptions(options);
      return tiers.list(options.tier, options.limit ?? Infinity);
    },
  };
}
