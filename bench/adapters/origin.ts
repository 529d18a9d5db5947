import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { ALL, generateAdapter } from '../../demo/generated-adapter.ts';

const NAMES = ['adapter_config.json', 'adapter_model.safetensors'] as const;
/** Files of a folder, by name. */
export type AdapterFiles = Readonly<Record<string, Uint8Array<ArrayBuffer>>>;

const folder = fileURLToPath(new URL('../../public/models/frontdesk/adapters', import.meta.url));

/** One of the small model's own adapters. */
export function ownAdapter(id: string): AdapterFiles {
  return Object.fromEntries(NAMES.map((name) => [name, new Uint8Array(readFileSync(`${folder}/${id}/${name}`))]));
}

/** The adapters whose first use is timed, from the smallest: two that the small model came with, and one of rank 64 on every linear layer. */
export function subjects(): Readonly<Record<string, AdapterFiles>> {
  return { emoji: ownAdapter('emoji'), json: ownAdapter('json'), rank64: generateAdapter({ modules: ALL, rank: 64, state: 1 }) };
}

/** Adapters by id: all of them, or made when they are asked for. */
export type Adapters = Readonly<Record<string, AdapterFiles>> | ((id: string) => AdapterFiles | undefined);

/** Answers what is asked of `/bench-adapters/ID/NAME`, whole or by range; `next` gets everything else. */
export function serveAdapters(adapters: Adapters) {
  return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    const [, id, name] = /^\/bench-adapters\/([^/]+)\/([^/?]+)/.exec(request.url ?? '') ?? [];
    if (id === undefined || name === undefined) return next();
    const files = typeof adapters === 'function' ? adapters(decodeURIComponent(id)) : adapters[id];
    const bytes = files?.[name];
    if (!bytes) return void response.writeHead(404).end();
    const etag = `"${id}-${bytes.length}"`;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (first === undefined) return void response.writeHead(200, { etag, 'content-length': bytes.length }).end(bytes);
    const part = bytes.subarray(Number(first), Number(last) + 1);
    const range = `bytes ${first}-${Number(first) + part.length - 1}/${bytes.length}`;
    response.writeHead(206, { etag, 'content-range': range, 'content-length': part.length }).end(part);
  };
}

/** An origin of this machine; the address of an adapter is `url` and its id. */
export interface Origin {
  readonly url: string;
  close(): void;
}

/** Serves adapters on a free port. */
export async function openOrigin(adapters: Adapters): Promise<Origin> {
  const answer = serveAdapters(adapters);
  const server = createServer((request, response) => answer(request, response, () => void response.writeHead(404).end()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/bench-adapters`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
