// An engine's worker that says when it begins to write an adapter's bytes, and when they are safe.
import { indexedDbStore } from 'weblora';
import { serve } from 'weblora/worker';

const store = indexedDbStore();

serve(globalThis, {
  store: {
    ...store,
    put: async (entries) => {
      const isBlob = entries.some(([key]) => key.startsWith('b:'));
      if (isBlob) postMessage({ write: 'begins' });
      await store.put(entries);
      if (isBlob) postMessage({ write: 'ends' });
    },
  },
});
