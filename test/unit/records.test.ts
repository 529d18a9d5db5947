import { describe, expect, test } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import { decodeAdapterRecord, decodeBlobRecord, encodeAdapterRecord, encodeBlobRecord, isLaterRecord } from '../../src/adapters/records.ts';
import type { BlobRecord, KnownAdapter } from '../../src/adapters/records.ts';
import { emptyLayer, type PackedAdapter } from '../../src/adapters/sites.ts';
import { decodeAdapter, encodeAdapter, hashSiteTable, storedBytes } from '../../src/adapters/stored-adapter.ts';
import { createSlices } from '../../src/slices.ts';
import { TABLE, memoryFolder, pair, randomNumbers, safetensors } from './files.ts';

const random = randomNumbers(11);
const noise = (): number => random() - 0.5;
const TENSORS = [...pair(0, 'self_attn.q_proj', 3, noise), ...pair(0, 'self_attn.v_proj', 5, noise)]; // layer 1 has none
const CONFIG = { peft_type: 'LORA', r: 3, lora_alpha: 5, target_modules: ['q_proj', 'v_proj'], rank_pattern: { v_proj: 5 } };
const read = (precision: 'exact' | 'half'): Promise<PackedAdapter> =>
  readAdapter(memoryFolder({ 'adapter_config.json': CONFIG, 'adapter_model.safetensors': safetensors(TENSORS) }), TABLE, precision);

describe.each(['exact', 'half'] as const)('a packed adapter in %s precision', (precision) => {
  test('comes back as it was', async () => {
    const packed = await read(precision);
    const bytes = await encodeAdapter(packed, createSlices());
    expect(decodeAdapter(bytes, TABLE)).toEqual(packed);
    expect(await encodeAdapter(decodeAdapter(bytes, TABLE)!, createSlices())).toEqual(bytes);
    expect(storedBytes(packed)).toBe(bytes.length);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect(decodeAdapter(shifted.subarray(1), TABLE)).toEqual(packed);
  });

  test('cut short or continued it is nothing', async () => {
    const bytes = await encodeAdapter(await read(precision), createSlices());
    for (let length = 0; length < bytes.length; length += length < 400 ? 1 : 61) {
      expect(decodeAdapter(bytes.slice(0, length), TABLE)).toBeUndefined();
    }
    expect(decodeAdapter(Uint8Array.from([...bytes, 0, 0, 0, 0]), TABLE)).toBeUndefined();
  });

  test('a changed header never reaches beyond its bytes', async () => {
    const packed = await read(precision);
    const bytes = await encodeAdapter(packed, createSlices());
    const header = 8 + new DataView(bytes.buffer).getUint32(4, true);
    for (let i = 0; i < 4000; i++) {
      const changed = bytes.slice();
      changed[Math.floor(random() * header)] = Math.floor(random() * 128);
      const decoded = decodeAdapter(changed, TABLE);
      for (const { words, matrices } of decoded?.layers ?? []) {
        for (const { site, offsetA, offsetB, rank4 } of matrices) {
          const quads = (words.length * 4) / (precision === 'exact' ? 16 : 8);
          expect(offsetA + (rank4 / 4) * TABLE.sites[site]!.inWidth).toBeLessThanOrEqual(quads);
          expect(offsetB + (rank4 / 4) * TABLE.sites[site]!.outWidth).toBeLessThanOrEqual(quads);
        }
      }
    }
  });

  test('is not one of another model', async () => {
    const bytes = await encodeAdapter(await read(precision), createSlices());
    expect(decodeAdapter(bytes, { ...TABLE, layers: 3 })).toBeUndefined();
    expect(decodeAdapter(bytes, { ...TABLE, sites: TABLE.sites.slice(0, 1) })).toBeUndefined();
    expect(decodeAdapter(bytes, { ...TABLE, sites: TABLE.sites.map((site) => ({ ...site, outWidth: 4096 })) })).toBeUndefined();
  });
});

test('bytes are put together piece by piece, and others wait no longer than that', async () => {
  let pauses = 0;
  const slices = { pause: () => (pauses++, undefined) };
  const layers = [5 << 18, 1 << 20, 0].map((length) => ({ words: new Uint32Array(length).fill(length), matrices: [], norms: [] }));
  const rest = { outer: emptyLayer(), whole: [], unblendable: [] };
  const packed: PackedAdapter = { digest: 'ab'.repeat(32), precision: 'half', rank: 4, rank4: 4, bytes: 9 << 20, layers, ...rest };
  const bytes = await encodeAdapter(packed, slices);
  expect([bytes.length, bytes.at(-1), bytes.subarray(-(4 << 20)).every((byte, i) => byte === (i % 4 === 2 ? 16 : 0))]).toEqual([
    storedBytes(packed),
    0,
    true,
  ]);
  expect(pauses).toBe(4);
});

test('a site table has one hash, another table another', async () => {
  const hash = await hashSiteTable(TABLE);
  expect(hash).toMatch(/^[\da-f]{64}$/);
  expect(await hashSiteTable(structuredClone(TABLE))).toBe(hash);
  const others = [
    { ...TABLE, layers: 3 },
    { ...TABLE, prefix: 'x.' },
    { ...TABLE, sites: TABLE.sites.toReversed() },
    { ...TABLE, sites: TABLE.sites.map((site) => ({ ...site, outStart: site.outStart + 1 })) },
  ];
  for (const other of others) expect(await hashSiteTable(other)).not.toBe(hash);
});

describe('a record', () => {
  const hash = 'ab'.repeat(32);
  const blob: BlobRecord = {
    key: `b:${hash}/1/half/cd`,
    digest: hash,
    sha256: 'cd'.repeat(32),
    rank: 8,
    bytes: 4096,
    stored: 5000,
    widest: 512,
    apart: 0,
    unblendable: [],
    usedAt: 1_700_000_000_000,
  };
  const adapter: KnownAdapter = {
    id: 'pirate/2 ü',
    source: 'https://example.org/p/',
    name: 'https://example.org/p/',
    digest: hash,
    stamp: '"e1"',
    checkedAt: 1_700_000_000_000.5,
  };
  const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
  const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

  test('comes back as it was', () => {
    expect(decodeBlobRecord(blob.key, encodeBlobRecord(blob))).toEqual(blob);
    expect(decodeAdapterRecord(encodeAdapterRecord(adapter))).toEqual(adapter);
    const dropped = { ...adapter, source: undefined, stamp: undefined, name: 'pirate-lora' };
    expect(decodeAdapterRecord(encodeAdapterRecord(dropped))).toEqual(dropped);
  });

  test('that is torn, foreign, older or newer is nothing', () => {
    const text = textOf(encodeBlobRecord(blob));
    const older = text.replace('"version":2', '"version":1');
    const newer = text.replace('"version":2', '"version":3');
    const wrong = ['"rank":8>"rank":-8', '"bytes":4096>"bytes":"4096"', '"sha256":"cd>"sha256":"zz', '"usedAt":1>"usedAt":-1'];
    const changed = wrong.map((change) => text.replace(...(change.split('>') as [string, string])));
    for (const change of ['', '{}', 'null', '[]', text.slice(0, -1), older, newer, ...changed]) {
      expect(change).not.toBe(text);
      expect(decodeBlobRecord(blob.key, bytesOf(change))).toBeUndefined();
      expect(isLaterRecord(bytesOf(change))).toBe(change === newer);
    }
    expect(decodeBlobRecord(blob.key, new Uint8Array([0xff, 0xfe]))).toBeUndefined();
    for (const key of ['b:', `m:${hash}/1/half/cd`, `b:${hash}`, `b:${hash.slice(1)}/1/half/cd`]) {
      expect(decodeBlobRecord(key, bytesOf(text))).toBeUndefined();
    }
    const known = textOf(encodeAdapterRecord(adapter));
    const bad = [
      '"version":2>"version":1',
      `"digest":"ab>"digest":"`,
      '"id":"pirate/2 ü">"id":""',
      '"checkedAt":1>"checkedAt":-1',
      '"stamp":"\\"e1\\"">"stamp":1',
    ];
    for (const change of bad.map((each) => known.replace(...(each.split('>') as [string, string])))) {
      expect(change).not.toBe(known);
      expect(decodeAdapterRecord(bytesOf(change))).toBeUndefined();
    }
  });
});
