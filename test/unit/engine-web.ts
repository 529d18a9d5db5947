import { vi } from 'vitest';
import { adapterFiles } from './tiers-harness.ts';

/** A web server of adapters as `fetch` sees it, until `vi.unstubAllGlobals()`. */
export interface Web {
  /** Requests so far, and what each asked of HTTP caches. */
  asked: { readonly url: string; readonly cache: string | undefined }[];
  /** `silent`: answers nothing before a signal ends the request. */
  state: 'up' | 'down' | 'silent';
  /** Whether it tells versions. */
  tags: 'yes' | 'no';
  /** Seeds of addresses whose adapters are others now. */
  readonly now: Map<number, number>;
  /** Signals of the requests that it does not answer. */
  readonly signals: AbortSignal[];
}

/** Where the adapter of a seed is at first. */
export const url = (seed: number): string => `https://example.org/adapters/${seed}/`;

export function serveWeb(): Web {
  const web: Web = { asked: [], state: 'up', tags: 'yes', now: new Map(), signals: [] };
  vi.stubGlobal('fetch', async (address: string, { headers, signal, cache }: RequestInit = {}) => {
    web.asked.push({ url: address, cache });
    if (web.state === 'down') throw new TypeError('network is unreachable');
    signal?.throwIfAborted();
    if (web.state === 'silent') {
      web.signals.push(signal!);
      return new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason as Error)));
    }
    const [, place, name] = /adapters\/(\d+)\/(.*)$/.exec(address)!;
    const seed = web.now.get(Number(place)) ?? Number(place);
    const file = adapterFiles(seed)[name as 'adapter_config.json'] as Uint8Array<ArrayBuffer> | undefined;
    if (!file) return new Response(null, { status: 404 });
    const [, first, last] = /bytes=(\d+)-(\d+)/.exec((headers as { range: string }).range)!;
    const tag = web.tags === 'yes' ? { etag: `"${seed}"` } : undefined;
    const range = { 'content-range': `bytes ${first}-${last}/${file.length}` };
    return new Response(file.slice(Number(first), Number(last) + 1), { status: 206, headers: { ...range, ...tag } });
  });
  return web;
}
