import { expect, test, vi } from 'vitest';
import { memoryStore } from '../../src/adapters/store.ts';
import { answer, dropped, open } from './tiers-harness.ts';

test('a model without a tokenizer has no text that could end an answer', async () => {
  const { engine } = await open();
  const asked = engine.generate([1, 2, 3], { maxTokens: 2, stop: ['.'] });
  await expect(asked.result()).rejects.toMatchObject({
    code: 'tokenizer_missing',
    param: 'stop',
    message: expect.stringContaining('stopTokenIds'),
  });
  expect((await engine.generate([1, 2, 3], { maxTokens: 2, stop: [], stopTokenIds: [5] }).result()).tokens).toHaveLength(2);
  await engine.close();
});

test('a signal that comes while the store is opened ends the start: nobody would close the engine', async () => {
  const controller = new AbortController();
  const store = memoryStore();
  const entries: typeof store.entries = async (prefix) => {
    controller.abort('changed my mind');
    return store.entries(prefix);
  };
  await expect(open({ store: { ...store, entries }, signal: controller.signal })).rejects.toBe('changed my mind');
  const second = new AbortController();
  const starting = open({ store: { ...store, exclusive: () => new Promise(() => undefined) }, signal: second.signal });
  setTimeout(() => second.abort('it does not open'), 5);
  await expect(starting).rejects.toBe('it does not open');
});

test('what a listener throws ends its own load, and nobody else’s', async () => {
  const { adapters, ask, engine, list } = await open();
  await adapters.add('a', dropped('one', 1));
  const told: number[] = [];
  const own = adapters.load('a', {
    onProgress: () => {
      throw new RangeError('a mistake on the page');
    },
  });
  const others = [adapters.load('a', { onProgress: ({ loaded }) => void told.push(loaded) }), ask('a')] as const;
  await expect(own).rejects.toThrow('a mistake on the page');
  expect(await others[1]).toBe(await answer(1));
  await others[0];
  expect(told.length).toBeGreaterThan(0);
  expect(await list()).toEqual([['a', 'one', 'gpu']]);
  await engine.close();
});

test('what finds no room is told what takes it', async () => {
  const { adapters, ask, engine } = await open({ pages: 3, limits: { sequences: 1 } });
  for (const each of [1, 2, 3]) await adapters.add(`a${each}`, dropped(`f${each}`, each));
  const words = async (asked: Promise<unknown>): Promise<string> => {
    const error = await asked.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'out_of_memory' });
    return (error as Error).message;
  };
  const long = { maxTokens: 60 };
  expect(await words(ask(undefined, long))).toContain('does not fit in a pool of 3 pages. Raise memory.pool (--pool-memory) or ask');
  expect(await words(ask('a1', long))).toContain('does not fit in a pool of 3 pages beside its adapter. Raise');
  for (const each of [1, 2, 3]) await adapters.pin(`a${each}`);
  const pinned = 'beside 3 pinned adapters of 3 pages. Raise memory.pool (--pool-memory), unpin adapters, or ask for fewer tokens.';
  expect(await words(ask(undefined))).toContain(pinned);
  await adapters.unload('a3');
  await adapters.add('a4', dropped('f4', 4));
  await adapters.pin('a4');
  expect(await words(adapters.load('a3'))).toContain('hold and 3 pinned adapters of 3 pages. Wait, unpin others, or raise');
  await adapters.unpin('a4');
  await adapters.load('a3');
  await engine.close();
});

test('a hundred calls may share a signal, which holds on to none of them', async () => {
  const { adapters, engine, list } = await open();
  for (let each = 0; each < 12; each++) await adapters.add(`a${each}`, dropped(`f${each}`, each));
  const { signal, abort } = watched();
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const loads = Promise.all(Array.from({ length: 12 }, (_, each) => adapters.load(`a${each}`, { signal, onProgress: () => undefined })));
  await Promise.all(Array.from({ length: 50 }, () => engine.generate([1], { maxTokens: 2, signal }).result()));
  await loads;
  expect(signal.listeners()).toBe(0);
  const left = Array.from({ length: 50 }, () => engine.generate([1], { maxTokens: 200, signal }).result());
  abort('enough');
  for (const outcome of await Promise.allSettled(left)) expect(outcome).toEqual({ status: 'rejected', reason: 'enough' });
  expect(warned).not.toHaveBeenCalled();
  warned.mockRestore();
  expect(await list()).toHaveLength(12);
  await engine.close();
});

/** A signal that tells how many listeners it has. */
function watched(): { readonly signal: AbortSignal & { listeners(): number }; readonly abort: (reason: unknown) => void } {
  const controller = new AbortController();
  const there = new Set<unknown>();
  const { signal } = controller;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  return {
    signal: Object.assign(signal, {
      addEventListener: (...given: Parameters<typeof add>) => (there.add(given[1]), add(...given)),
      removeEventListener: (...given: Parameters<typeof remove>) => (there.delete(given[1]), remove(...given)),
      listeners: () => there.size,
    }),
    abort: (reason) => controller.abort(reason),
  };
}
