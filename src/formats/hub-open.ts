import { loadPart } from '../errors.ts';
import type { Folder } from './folder-contract.ts';
import { HUB, hubEndpoint } from './hub-access.ts';
import type { HubAccess } from './hub-access.ts';
import { openCachedHubFolder } from './hub-cached.ts';
import type { HubProgress, HubUse } from './hub-plan.ts';
import { memoryHubStore } from './hub-store-memory.ts';
import type { HubStore } from './hub-store.ts';

export type { HubProgress } from './hub-plan.ts';

export interface HubOpening {
  /** `model`: its files are kept in this runtime's cache. `adapter`: in memory, as long as the folder is; the adapter store keeps the rest. */
  readonly of: HubUse;
  /** Told of every file that is fetched. */
  readonly onProgress?: ((progress: HubProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What else was tried before the text was taken for a hub id, as a sentence for messages. */
  readonly tried?: string | undefined;
}

/** An adapter's requests wait for it, and it may be there already: nobody waits long for a hub that is away. */
const ADAPTER_FAILURES = 3;

/** Opens a model or an adapter on the hub. Throws what `openCachedHubFolder` throws, at once and when it is read. */
export async function openHubFolder(text: string, access: HubAccess | undefined, opening: HubOpening): Promise<Folder> {
  const { of, ...rest } = opening;
  if (of === 'model') return openCachedHubFolder(text, access, { ...rest, use: of, store: await hubStoreHere(access) });
  return openCachedHubFolder(text, access, { ...rest, use: of, store: memoryHubStore(), failures: ADAPTER_FAILURES });
}

/** Where there is no other place: gone with the thread. By endpoint. */
const inMemory = new Map<string, HubStore>();

/**
 * Where this runtime keeps models: Hugging Face's own cache in Node and Deno, the page's own files (OPFS) in browsers, memory where a
 * browser has none (a private window). In a browser each hub has its own: which hub is asked may be in an address that somebody else
 * made, and what such a hub says of a model's files must not be believed later of the same model on another.
 */
export async function hubStoreHere(access?: HubAccess): Promise<HubStore> {
  if (globalThis.process?.getBuiltinModule?.('node:fs/promises')) return (await loadPart(() => import('./hub-disk.ts'))).diskHubStore();
  const endpoint = hubEndpoint(access);
  try {
    await globalThis.navigator.storage.getDirectory();
  } catch {
    const store = inMemory.get(endpoint) ?? memoryHubStore();
    inMemory.set(endpoint, store);
    return store;
  }
  return (await loadPart(() => import('./hub-opfs.ts'))).opfsHubStore(opfsName(endpoint));
}

function opfsName(endpoint: string): string {
  return endpoint === HUB ? 'weblora-hub' : `weblora-hub-${encodeURIComponent(endpoint)}`;
}
