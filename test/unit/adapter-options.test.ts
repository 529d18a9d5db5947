import { describe, expect, test } from 'vitest';
import { checkAddOptions, checkListOptions, checkLoadOptions } from '../../src/engine/adapter-options.ts';

const load = (options: unknown) => checkLoadOptions('adapters.load', options as object);
const pin = (options: unknown) => checkLoadOptions('adapters.pin', options as object);
const list = (options: unknown) => checkListOptions(options as object);
const add = (options: unknown) => checkAddOptions(options as object);
const { signal } = new AbortController();

describe('options of adapters', () => {
  test('may be left out or have every value there is', () => {
    for (const check of [load, pin, list, add]) check({});
    load({ signal, onProgress: () => undefined, revalidate: false });
    load({ signal: undefined, onProgress: undefined, revalidate: undefined });
    for (const tier of ['gpu', 'heap', 'disk', 'origin', undefined]) list({ tier, limit: 0 });
    list({ limit: undefined });
    add({ replace: true });
    add(Object.assign(Object.create(null), { replace: undefined }));
  });

  test.each<[string, (options: unknown) => void, object, string]>([
    ['adapters.load', load, { revalidated: true }, 'revalidated'],
    ['adapters.pin', pin, { replace: true }, 'replace'],
    ['adapters.list', list, { teir: 'gpu' }, 'teir'],
    ['adapters.list', list, { toString: 1 }, 'toString'],
    ['adapters.add', add, { force: true }, 'force'],
  ])('%s: an unknown name', (call, check, options, name) => {
    expect(() => check(options)).toThrow(TypeError);
    expect(() => check(options)).toThrow(`${call}: unknown option "${name}"`);
  });

  test.each<[string, (options: unknown) => void, unknown]>([
    ['adapters.load', load, null],
    ['adapters.pin', pin, 5],
    ['adapters.list', list, 'gpu'],
    ['adapters.list', list, ['gpu']],
    ['adapters.add', add, true],
  ])('%s: options that are no object', (call, check, options) => {
    expect(() => check(options)).toThrow(TypeError);
    expect(() => check(options)).toThrow(call);
  });

  test.each<[(options: unknown) => void, object, string]>([
    [load, { signal: {} }, 'signal'],
    [load, { signal: null }, 'signal'],
    [load, { onProgress: {} }, 'onProgress'],
    [pin, { revalidate: 'yes' }, 'revalidate'],
    [list, { tier: 'GPU' }, 'tier'],
    [list, { tier: 'toString' }, 'tier'],
    [list, { tier: ['gpu'] }, 'tier'],
    [list, { limit: -1 }, 'limit'],
    [list, { limit: 1.5 }, 'limit'],
    [list, { limit: '3' }, 'limit'],
    [add, { replace: 1 }, 'replace'],
  ])('a value out of range: %#', (check, options, param) => {
    expect(() => check(options)).toThrow(expect.objectContaining({ code: 'request_invalid', param }));
  });
});
