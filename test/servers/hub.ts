import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { seededBytes } from './hub-orders.ts';
import type { HubFault, HubRepository, HubRequest } from './hub-orders.ts';

/** A hub and the host where its large files lie. */
export interface HubDouble {
  /** The endpoint. Told by POST to `/_repository` and `/_faults`; GET `/_log?repository=…` gives the requests that came. */
  readonly url: string;
  close(): void;
}

interface Kept extends Omit<HubRepository, 'files'> {
  readonly files: ReadonlyMap<string, { readonly bytes: Uint8Array; readonly large: boolean }>;
}

interface Armed extends HubFault {
  skipLeft: number;
  timesLeft: number;
}

interface Double {
  readonly repositories: Map<string, Kept>;
  faults: Armed[];
  readonly log: { -readonly [key in keyof HubRequest]: HubRequest[key] }[];
  storeUrl: string;
  /** Addresses at the other host bear the number that this was when they were given; those of a lower number are no longer good. */
  readonly signatures: Map<string, number>;
}

/**
 * A server that does as the hub does, and another host to which it redirects; both on free ports of this machine.
 *
 * @param host by which name this machine is called; pages with a policy may know one only.
 */
export async function openHubDouble(host: '127.0.0.1' | 'localhost' = '127.0.0.1'): Promise<HubDouble> {
  const double: Double = { repositories: new Map(), faults: [], log: [], storeUrl: '', signatures: new Map() };
  const hub = await listen(host, (request, response) => void answerHub(double, request, response));
  const store = await listen(host, (request, response) => answerStore(double, request, response));
  double.storeUrl = store.url;
  return {
    url: hub.url,
    close: () => {
      for (const { server } of [hub, store]) {
        server.closeAllConnections();
        server.close();
      }
    },
  };
}

async function listen(host: string, listener: RequestListener): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    response.on('error', () => undefined);
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('access-control-expose-headers', 'Content-Range, X-Error-Code, Link, Retry-After, RateLimit');
    if (request.method !== 'OPTIONS') return void listener(request, response);
    const allowed = { 'access-control-allow-headers': 'authorization, range', 'access-control-allow-methods': 'GET' };
    response.writeHead(204, allowed).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://${host}:${(server.address() as AddressInfo).port}` };
}

async function answerHub(double: Double, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url!, 'http://hub');
  if (url.pathname.startsWith('/_')) return order(double, url, request, response);
  const [, repository = '', rest = ''] = /^(?:\/api\/models)?\/([^/]+\/[^/]+)\/(.*)$/.exec(url.pathname) ?? [];
  const isApi = url.pathname.startsWith('/api/');
  const entry = logged(double, 'hub', request);
  const kept = double.repositories.get(repository);
  const denied = kept?.token !== undefined && request.headers.authorization !== `Bearer ${kept.token}`;
  const fault = nextFault(double, isApi ? 'api' : 'resolve', repository);
  if (fault && refuse(fault, response)) return;
  if (denied) return void response.writeHead(401, { 'x-error-code': 'RepoNotFound' }).end('{}');
  if (!kept) return void response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end('{}');
  if (isApi) return answerApi(kept, rest, url, request, response);
  const [, commit = '', name = ''] = /^resolve\/([^/]+)\/(.*)$/.exec(rest) ?? [];
  const file = kept.files.get(decodeURIComponent(name));
  if (commit !== kept.commit) return void response.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end();
  if (!file) return void response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
  // What the hub's own client reads before it follows.
  const about = { 'x-repo-commit': kept.commit, etag: `"${file.large ? sha256(file.bytes) : gitHash(file.bytes)}"` };
  if (!file.large) return send(file.bytes, fault, entry, request, response, about);
  const linked = { 'x-linked-size': String(file.bytes.length), 'x-linked-etag': `"${sha256(file.bytes)}"` };
  response
    .writeHead(302, {
      location: `${double.storeUrl}/${repository}/${name}?signed=${double.signatures.get(repository) ?? 0}`,
      ...about,
      ...linked,
    })
    .end();
}

function answerApi(kept: Kept, rest: string, url: URL, request: IncomingMessage, response: ServerResponse): void {
  if (rest.startsWith('revision/')) {
    const missing = rest.endsWith('/none');
    const body = missing ? '{}' : JSON.stringify({ id: kept.repository, sha: kept.commit });
    return void response.writeHead(missing ? 404 : 200, missing ? { 'x-error-code': 'RevisionNotFound' } : {}).end(body);
  }
  const entries = [...kept.files].map(([path, { bytes, large }]) => {
    const oid = gitHash(bytes);
    const lfs = { oid: sha256(bytes), size: bytes.length, pointerSize: 134 };
    return { type: 'file', path, size: bytes.length, oid, ...(large && { lfs }) };
  });
  const all = [{ type: 'directory', path: 'folder', size: 0, oid: '0'.repeat(40) }, ...entries];
  const [size, from] = [kept.pageSize ?? 1000, Number(url.searchParams.get('cursor') ?? 0)];
  url.searchParams.set('cursor', String(from + size));
  const next = `<http://${request.headers.host}${url.pathname}${url.search}>; rel="next"`;
  response.writeHead(200, from + size < all.length ? { link: next } : {}).end(JSON.stringify(all.slice(from, from + size)));
}

function answerStore(double: Double, request: IncomingMessage, response: ServerResponse): void {
  const entry = logged(double, 'store', request);
  const [, repository = '', name = ''] = /^\/([^/]+\/[^/]+)\/([^?]*)/.exec(request.url!) ?? [];
  const file = double.repositories.get(repository)?.files.get(decodeURIComponent(name));
  const fault = nextFault(double, 'store', repository);
  const signed = double.signatures.get(repository) ?? 0;
  if (fault?.kind === 'expire') double.signatures.set(repository, signed + 1);
  if (fault?.kind === 'expire' || !request.url!.endsWith(`?signed=${signed}`)) return void response.writeHead(403).end();
  if (fault && refuse(fault, response)) return;
  if (!file) return void response.writeHead(404).end();
  send(file.bytes, fault, entry, request, response);
}

function send(
  bytes: Uint8Array,
  fault: HubFault | undefined,
  entry: { sent: number },
  request: IncomingMessage,
  response: ServerResponse,
  headers: Readonly<Record<string, string>> = {},
): void {
  const range = fault?.kind === 'whole' ? null : /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const start = range ? Number(range[1]) : 0;
  const end = range ? Math.min(Number(range[2]) + 1, bytes.length) : bytes.length;
  let body = Buffer.from(bytes.subarray(start, end));
  if (fault?.kind === 'wrong') body[body.length - 1]! ^= 1;
  const told = {
    ...headers,
    'content-length': String(body.length),
    ...(range && { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }),
  };
  response.writeHead(range ? 206 : 200, told);
  if (request.method === 'HEAD') return void response.end();
  const ends = fault?.kind === 'cut' || fault?.kind === 'hang';
  if (ends) body = body.subarray(0, fault.after ?? 0);
  entry.sent += body.length;
  if (!ends) return void response.end(body);
  response.flushHeaders();
  // Later: what was written before a socket is destroyed is not sent any more.
  response.write(body, () => fault.kind === 'cut' && setTimeout(() => response.destroy(), 20));
  if (body.length === 0 && fault.kind === 'cut') response.destroy();
}

/** True where the fault is the whole answer. */
function refuse(fault: HubFault, response: ServerResponse): boolean {
  if (fault.kind === 'down') response.destroy();
  else if (fault.kind === 'away') response.writeHead(302, { location: fault.to! }).end();
  else if (fault.kind === 'status') response.writeHead(fault.status!, { ...fault.headers }).end('refused');
  else return false;
  return true;
}

function nextFault(double: Double, on: HubFault['on'], repository: string): HubFault | undefined {
  const fault = double.faults.find((one) => one.on === on && one.repository === repository && one.timesLeft > 0);
  if (!fault) return undefined;
  if (fault.skipLeft-- > 0) return undefined;
  fault.timesLeft--;
  return fault;
}

function logged(double: Double, host: 'hub' | 'store', { url, headers }: IncomingMessage): Double['log'][number] {
  const entry = { host, url: url!, range: headers.range, authorization: headers.authorization, sent: 0 };
  double.log.push(entry);
  return entry;
}

async function order(double: Double, url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (url.pathname === '/_log') {
    const repository = url.searchParams.get('repository')!;
    return void response.end(JSON.stringify(double.log.filter((entry) => entry.url.includes(`/${repository}/`))));
  }
  let text = '';
  for await (const chunk of request) text += String(chunk);
  if (url.pathname === '/_repository') addRepository(double, JSON.parse(text) as HubRepository);
  else setFaults(double, url.searchParams.get('repository')!, JSON.parse(text) as HubFault[]);
  response.end();
}

function addRepository(double: Double, given: HubRepository): void {
  const files = Object.entries(given.files).map(
    ([name, content]) => [name, { bytes: bytesOf(content), large: typeof content !== 'string' }] as const,
  );
  double.repositories.set(given.repository, { ...given, files: new Map(files) });
}

function bytesOf(content: HubRepository['files'][string]): Uint8Array {
  if (typeof content === 'string') return new TextEncoder().encode(content);
  return 'path' in content ? readFileSync(new URL(`../../${content.path}`, import.meta.url)) : seededBytes(content.size, content.seed);
}

function setFaults(double: Double, repository: string, faults: readonly HubFault[]): void {
  const others = double.faults.filter((fault) => fault.repository !== repository);
  double.faults = [...others, ...faults.map((fault) => ({ ...fault, skipLeft: fault.skip ?? 0, timesLeft: fault.times ?? Infinity }))];
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function gitHash(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}
