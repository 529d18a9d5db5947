// Cases of the hub's suite, and one model's file, kept in the page's own files, where an engine has them: in a worker.
import { openCachedHubFolder } from '../../src/formats/hub-cached.ts';
import { opfsHubStore } from '../../src/formats/hub-opfs.ts';
import type { HubStore } from '../../src/formats/hub-store.ts';
import { seededBytes } from '../servers/hub-orders.ts';
import { COMMIT, PIECE, readWhole, sameBytes, SIZE } from '../suites/hub-bench.ts';
import { hubCases } from '../suites/hub.ts';
import { runCase } from '../suites/run.ts';

/** What the page asks for; every answer has its number. */
export type HubAsked = { readonly id: number; readonly endpoint: string } & (
  | { readonly what: 'case'; readonly name: string }
  | { readonly what: 'read' | 'pieces'; readonly repository: string }
);

const stores = new Map<string, HubStore>();
const storeOf = (name: string): HubStore => stores.get(name) ?? stores.set(name, opfsHubStore(`hub-${name}`)).get(name)!;

async function answer(asked: HubAsked): Promise<unknown> {
  const { endpoint } = asked;
  if (asked.what === 'case') return runCase({ hub: hubCases({ endpoint, store: storeOf }) }, { suite: 'hub', name: asked.name });
  const { repository } = asked;
  const store = storeOf('model');
  if (asked.what === 'pieces') {
    const file = (await store.listing(repository, COMMIT))?.files.find(({ name }) => name === 'model.bin');
    // Not by its part: somebody else holds that.
    const root = await navigator.storage.getDirectory();
    let at: FileSystemDirectoryHandle | undefined = root;
    for (const name of ['hub-model', `models--${repository.replace('/', '--')}`, 'blobs', file?.sha256 ?? 'none']) {
      at = await at?.getDirectoryHandle(name).catch(() => undefined);
    }
    const pieces: number[] = [];
    if (at) {
      for await (const [name, entry] of at.entries()) {
        const whole = Math.min(PIECE, SIZE - Number(name) * PIECE);
        if (/^\d+$/.test(name) && (await (entry as FileSystemFileHandle).getFile()).size === whole) pieces.push(Number(name));
      }
    }
    return pieces;
  }
  const folder = openCachedHubFolder(repository, { endpoint, token: '' }, { store, pieceBytes: PIECE });
  sameBytes(await readWhole(folder, 'model.bin'), seededBytes(SIZE, 1), 'model.bin');
  return 'the same';
}

globalThis.addEventListener('message', ({ data }: MessageEvent<HubAsked>) => {
  void answer(data)
    .catch((error: unknown) => `failed: ${String(error)}`)
    .then((result) => globalThis.postMessage({ id: data.id, result }));
});
