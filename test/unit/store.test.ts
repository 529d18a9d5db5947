import { describe, expect, test, vi } from 'vitest';
import { indexedDbStore } from '../../src/adapters/store-idb.ts';
import { isQuota, memoryStore, recordOfBlob, storeFailed, storeKeys, wholeBuffer, type Store } from '../../src/adapters/store.ts';
import { storeCases } from '../suites/stores.ts';

describe('a store in memory', () => {
  const stores = new Map<string, Store>();
  const open = (name: string): Store => {
    const store = stores.get(name) ?? memoryStore();
    stores.set(name, store);
    return store;
  };
  for (const { name, run } of storeCases({ open })) test(name, run);
});

test('bytes are taken over, without what is around a part of a buffer', () => {
  const whole = new Uint8Array(9);
  expect(wholeBuffer(whole)).toBe(whole);
  expect(wholeBuffer(whole.subarray(1, 3)).buffer.byteLength).toBe(2);
});

describe('keys', () => {
  const scope = { shape: 'ff', layoutVersion: 1, precision: 'half' } as const;
  test('name digest, layout, precision and shape', () => {
    const keys = storeKeys({ ...scope, model: 'SmolLM2' });
    expect(keys.blob('d1')).toBe('b:d1/1/half/ff');
    expect(recordOfBlob(keys.blob('d1'))).toBe('m:b:d1/1/half/ff');
    expect(keys.adapter('pirate/2')).toBe('m:a:ff/SmolLM2/pirate/2');
    expect([keys.blob('d1'), 'b:d1/7/exact/ff', 'b:d1/1/half/f', 'b:d12/1/half/ff'].map((key) => keys.isBlobOf(key, 'd1'))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
  test('keep models apart whatever they are called', () => {
    const names = ['a', 'a/b', 'a%2Fb', 'a/', '', '/', '%'];
    const prefixes = names.map((model) => storeKeys({ ...scope, model }).adapter(''));
    for (const [i, prefix] of prefixes.entries()) {
      expect(prefix.startsWith('m:a:ff/')).toBe(true);
      for (const [j, other] of prefixes.entries()) expect(other.startsWith(prefix)).toBe(i === j);
    }
  });
});

test('IndexedDB that fails is store_failed, and is tried again', async () => {
  const store = indexedDbStore('db'); // this runtime has none
  const failure = { name: 'WebLoraError', code: 'store_failed', message: expect.stringContaining('"db"') };
  await expect(store.get('m:x')).rejects.toMatchObject(failure);
  await expect(store.put([['m:x', new Uint8Array(1)]])).rejects.toMatchObject(failure);
  await expect(store.delete(['m:x'])).rejects.toMatchObject(failure);
  await expect(store.keys('m:')).rejects.toMatchObject(failure);
  await expect(store.entries('m:')).rejects.toMatchObject(failure);
  expect(isQuota(await store.get('m:x').catch((error: unknown) => error))).toBe(false);
  vi.stubGlobal('indexedDB', {
    open: () => {
      throw new DOMException('The quota is used up.', 'QuotaExceededError');
    },
  });
  const full = await store.put([['m:x', new Uint8Array(1)]]).catch((error: unknown) => error);
  expect(full).toMatchObject({ message: expect.stringContaining('quota') });
  expect(isQuota(full)).toBe(true);
  vi.unstubAllGlobals();
});

test('a store that is full is told from one that fails', () => {
  class QuotaExceededError extends Error {
    override readonly name = 'QuotaExceededError';
  }
  const full = [
    new QuotaExceededError('x'),
    Object.assign(new Error('x'), { code: 'ENOSPC' }),
    Object.assign(new Error('x'), { code: 'EDQUOT' }),
  ];
  for (const cause of full)
    expect([cause, storeFailed('x', cause), new Error('y', { cause: storeFailed('x', cause) })].map(isQuota)).toEqual([true, true, true]);
  const round = new Error('x');
  round.cause = round;
  for (const other of [undefined, null, 'ENOSPC', new Error('QuotaExceededError'), storeFailed('x', new Error('no')), round])
    expect(isQuota(other)).toBe(false);
});
