import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { root } from './harness.ts';

/** The files of an adapter. */
export type AdapterFiles = Readonly<Record<string, Uint8Array>>;

/** A server of adapters, of another origin than the page. */
export interface AdapterOrigin {
  url(id: string): string;
  /** Whether an address is one of its own. */
  covers(url: URL): boolean;
  /** What it serves, by id; may be changed at any time. */
  readonly adapters: Map<string, AdapterFiles>;
  /** `exposed`: pages may read its ETags. `broken`: it answers nothing but 503. */
  tags: 'exposed' | 'hidden';
  health: 'well' | 'broken';
  /** Ids of which something was asked since the last `forget`, once per request. */
  asked(): readonly string[];
  forget(): void;
  close(): void;
}

const WEIGHTS = 'adapter_model.safetensors';
const ARCH = `${root}test/fixtures/arch/llama`;

/** The fixtures' adapter of that name. */
export function fixtureAdapter(name: string): AdapterFiles {
  const read = (file: string): Uint8Array => readFileSync(`${ARCH}/adapters/${name}/${file}`);
  return { 'adapter_config.json': read('adapter_config.json'), [WEIGHTS]: read(WEIGHTS) };
}

type Header = Record<
  string,
  { readonly dtype: string; readonly shape: readonly [number, number]; readonly data_offsets: [number, number] }
>;

/**
 * The fixtures' `r8-all` with a larger rank: the new rows of A come in pairs of equal ones, the new columns of B in pairs that cancel each
 * other. So each seed gives other bytes that compute the same, and that no browser makes much smaller: 4,480 bytes per rank, twice that
 * as packed `exact`. `rank` is even.
 */
export function widened(seed: number, rank: number): AdapterFiles {
  const { 'adapter_config.json': config, [WEIGHTS]: weights } = fixtureAdapter('r8-all') as Record<string, Buffer>;
  const { r, lora_alpha: alpha, ...rest } = JSON.parse(config!.toString()) as { readonly r: number; readonly lora_alpha: number };
  const end = 8 + Number(weights!.readBigUInt64LE(0));
  const header = JSON.parse(weights!.toString('utf8', 8, end)) as Header;
  const draw = drawBits(seed);
  const widenedHeader: Header = {};
  const data: Uint16Array<ArrayBuffer>[] = [];
  let at = 0;
  for (const [name, tensor] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [from, to] = tensor.data_offsets;
    const halves = new Uint16Array(new Uint8Array(weights!.subarray(end + from, end + to)).buffer);
    const isA = name.includes('lora_A');
    const width = tensor.shape[isA ? 1 : 0];
    const wide = isA ? moreRows(halves, rank * width, width, draw) : moreColumns(halves, r, rank, width, draw);
    widenedHeader[name] = { ...tensor, shape: isA ? [rank, width] : [width, rank], data_offsets: [at, (at += wide.byteLength)] };
    data.push(wide);
  }
  const text = Buffer.from(JSON.stringify(widenedHeader));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return {
    'adapter_config.json': Buffer.from(JSON.stringify({ ...rest, r: rank, lora_alpha: (alpha / r) * rank })),
    [WEIGHTS]: Buffer.concat([length, text, ...data.map(({ buffer }) => new Uint8Array(buffer))]),
  };
}

/** Fractions of float16. */
function drawBits(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 22;
  };
}

/** From 1/16 to 1/8. */
const A_BITS = 0x2c00;
/** From 1/512 to 1/256. */
const B_BITS = 0x1800;
const MINUS = 0x8000;

function moreRows(halves: Uint16Array, length: number, width: number, draw: () => number): Uint16Array<ArrayBuffer> {
  const wide = new Uint16Array(length);
  wide.set(halves);
  for (let i = halves.length; i < length; i++) wide[i] = Math.floor(i / width) % 2 === 0 ? A_BITS | draw() : wide[i - width]!;
  return wide;
}

function moreColumns(halves: Uint16Array, from: number, to: number, rows: number, draw: () => number): Uint16Array<ArrayBuffer> {
  const wide = new Uint16Array(rows * to);
  for (let row = 0; row < rows; row++) {
    const start = row * to;
    wide.set(halves.subarray(row * from, (row + 1) * from), start);
    for (let i = from; i < to; i++) wide[start + i] = i % 2 === 0 ? B_BITS | draw() : wide[start + i - 1]! | MINUS;
  }
  return wide;
}

/** Starts it. Copies of what it serves may be kept for an hour, as at many hosts: who wants to know what is new has to ask. */
export async function openOrigin(): Promise<AdapterOrigin> {
  let asked: string[] = [];
  const server = createServer((request, response) => answer(origin, request, response, (id) => asked.push(id)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const origin: AdapterOrigin = {
    url: (id) => `http://127.0.0.1:${port}/adapters/${id}/`,
    covers: ({ port: asked }) => asked === String(port),
    adapters: new Map(),
    tags: 'exposed',
    health: 'well',
    asked: () => asked,
    forget: () => (asked = []),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return origin;
}

function answer(origin: AdapterOrigin, request: IncomingMessage, response: ServerResponse, ask: (id: string) => void): void {
  const exposed = ['content-range', 'content-length', ...(origin.tags === 'exposed' ? ['etag'] : [])];
  response.setHeader('access-control-allow-origin', '*');
  response.setHeader('access-control-allow-headers', 'range');
  response.setHeader('access-control-expose-headers', exposed.join());
  if (request.method === 'OPTIONS') return void response.end();
  const [, , id = '', name = ''] = request.url!.split('/');
  ask(id);
  if (origin.health === 'broken') return void response.writeHead(503).end();
  const file = origin.adapters.get(id)?.[name];
  if (!file) return void response.writeHead(404).end();
  const tag = `"${checksum(file)}"`;
  response.setHeader('etag', tag);
  response.setHeader('cache-control', 'max-age=3600');
  if (request.headers['if-none-match'] === tag) return void response.writeHead(304).end();
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
  if (from === undefined) return void response.end(file);
  const part = file.subarray(Number(from), Number(to) + 1);
  response.writeHead(206, { 'content-range': `bytes ${from}-${Number(from) + part.length - 1}/${file.length}` });
  response.end(part);
}

const checksums = new WeakMap<Uint8Array, string>();

function checksum(file: Uint8Array): string {
  const known = checksums.get(file) ?? file.reduce((sum, byte) => (Math.imul(sum, 31) + byte) >>> 0, 7).toString(16);
  checksums.set(file, known);
  return known;
}
