import { afterEach, describe, expect, test, vi } from 'vitest';
import { memoryStore } from '../../src/adapters/store.ts';
import type { Source } from '../../src/engine/types.ts';
import { serveWeb, url } from './engine-web.ts';
import { codeOf } from './files.ts';
import { ADAPTER_BYTES, answer, dropped, open } from './tiers-harness.ts';

afterEach(() => void vi.unstubAllGlobals());

/** A `resolve` that answers when the test does. */
function slowResolve(): {
  readonly resolve: (id: string) => Promise<Source | undefined>;
  answer(source: Source): void;
  readonly asked: string[];
} {
  let settle: (source: Source) => void = () => undefined;
  const asked: string[] = [];
  const resolve = (id: string): Promise<Source> => {
    asked.push(id);
    return new Promise((done) => (settle = done));
  };
  return { resolve, answer: (source) => settle(source), asked };
}

describe('resolve', () => {
  test('is asked once for all who wait, and registers what it answers', async () => {
    const { resolve, answer: settle, asked } = slowResolve();
    const { adapters, load, list, ask, engine } = await open({ resolve });
    const loads = Promise.all([load('a'), load('a'), ask('a')]);
    expect([await list(), (await engine.stats()).registered]).toEqual([[], 0]);
    settle(dropped('one', 1));
    const [first, second, answered] = await loads;
    expect([asked, first, answered]).toEqual([['a'], second, await answer(1)]);
    expect([await list(), (await engine.stats()).registered]).toEqual([[['a', 'one', 'gpu']], 1]);
    await load('a');
    expect(asked).toEqual(['a']);
    await adapters.remove('a');
    expect(await list()).toEqual([]);
  });

  test('that answers undefined or throws fails who asked, and is asked anew', async () => {
    const answers: (() => Source | undefined)[] = [
      () => undefined,
      () => {
        throw new Error('the catalogue is closed');
      },
      () => 3 as unknown as Source,
      () => dropped('one', 1),
    ];
    const { adapters, load, list, ask } = await open({ resolve: () => answers.shift()!() });
    await adapters.add('other', dropped('two', 2));
    for (const why of [/no such id/, /catalogue is closed/, /source is a path/]) {
      const [failed, waits, request, other] = await Promise.allSettled([load('a'), load('a'), ask('a'), load('other')]);
      expect(failed).toMatchObject({ reason: { code: 'adapter_unknown', param: 'adapter', message: expect.stringMatching(why) } });
      expect([waits.status, request.status, other.status]).toEqual(['rejected', 'rejected', 'fulfilled']);
      expect(await list()).toHaveLength(1);
    }
    await load('a');
    expect(await list()).toHaveLength(2);
    expect(await codeOf(() => adapters.remove('nobody'))).toBe('adapter_unknown');
  });

  test('calls made while it answers take effect in their order', async () => {
    const { resolve, answer: settle } = slowResolve();
    const store = memoryStore();
    const { adapters, ask, list, close } = await open({ resolve, store });
    const before = ask('a');
    await adapters.remove('a');
    await adapters.add('a', dropped('added', 2));
    const after = ask('a');
    settle(dropped('resolved', 1));
    expect(await Promise.all([before, after])).toEqual([await answer(1), await answer(2)]);
    expect(await list()).toEqual([['a', 'added', 'gpu']]);
    await close();
    expect(await store.keys('b:')).toHaveLength(1); // nobody can name the other one's bytes
    const again = await open({ store });
    expect([await again.list(), await again.ask('a')]).toEqual([[['a', 'added', 'disk']], await answer(2)]);
    await again.close();
  });

  test('the answer stands though who asked has left', async () => {
    const { resolve, answer: settle, asked } = slowResolve();
    const { adapters, load, list, ask } = await open({ resolve });
    const leaving = new AbortController();
    const left = [adapters.load('a', { signal: leaving.signal }), ask('a', { signal: leaving.signal })];
    leaving.abort(new Error('left'));
    for (const one of left) await expect(one).rejects.toThrow('left');
    const loading = load('a');
    settle(dropped('one', 1));
    await loading;
    expect([asked, await list()]).toEqual([['a'], [['a', 'one', 'gpu']]]);
  });

  test('bytes that it answered are let go of, and asked for again', async () => {
    const asked: string[] = [];
    const resolve = (id: string): Source => {
      asked.push(id);
      return dropped(`bytes of ${id}`, Number(id));
    };
    const store = memoryStore();
    const { ask, load, adapters, close } = await open({ resolve, store, memory: { heap: 0, disk: 2000 } });
    for (const id of ['1', '2', '3']) expect(await ask(id)).toBe(await answer(Number(id)));
    for (const id of ['1', '2', '3']) await adapters.unload(id);
    expect(asked).toEqual(['1', '2', '3']);
    // not pinned on disk: the latest made room for itself
    expect((await adapters.list()).map(({ tier }) => tier)).toEqual(['origin', 'disk', 'disk']);
    expect(await ask('1')).toBe(await answer(1));
    await load('3');
    expect(asked).toEqual(['1', '2', '3', '1']);
    await close();
    const again = await open({ store }); // what it answers next may be another
    expect(await again.list()).toEqual([]);
    await again.close();
  });

  test('without a callback an unknown id is refused at once', async () => {
    const { adapters, ask } = await open();
    for (let i = 0; i < 12; i++) await adapters.add(`a${i}`, url(i));
    await expect(ask('nobody')).rejects.toThrow(/"nobody" \(registered: a0, .*a7, 4 more\)\. Call adapters\.add/);
    await expect(adapters.add('x', 3 as unknown as Source)).rejects.toThrow(TypeError);
  });
});

describe('a signal', () => {
  test('ends the download when the last who waits has left', async () => {
    const web = serveWeb();
    web.state = 'silent';
    const { adapters, load } = await open();
    await adapters.add('a', url(1));
    const [one, two] = [new AbortController(), new AbortController()];
    const loads = [one, two].map(({ signal }) => adapters.load('a', { signal }));
    await vi.waitFor(() => expect(web.signals).toHaveLength(2)); // the versions of its two files
    one.abort(new Error('one left'));
    await expect(loads[0]).rejects.toThrow('one left');
    expect(web.signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    two.abort(new Error('two left'));
    await expect(loads[1]).rejects.toThrow('two left');
    expect(web.signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    web.state = 'up';
    await load('a'); // nothing of the ended download is in the way
  });

  test('of the last request ends it too, and not that of a request beside a load', async () => {
    const web = serveWeb();
    web.state = 'silent';
    const { adapters, ask } = await open();
    await adapters.add('a', url(1));
    const stop = new AbortController();
    const asked = ask('a', { signal: stop.signal });
    await vi.waitFor(() => expect(web.signals).toHaveLength(2)); // the versions of its two files
    const kept = new AbortController();
    const loading = adapters.load('a', { signal: kept.signal });
    stop.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
    expect(web.signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    kept.abort(new Error('gone'));
    await expect(loading).rejects.toThrow('gone');
    expect(web.signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  test('removal and the end of the engine end it too', async () => {
    const web = serveWeb();
    web.state = 'silent';
    const { adapters, load, ask, close } = await open();
    await adapters.add('a', url(1));
    const both = Promise.allSettled([load('a'), load('a')]);
    await vi.waitFor(() => expect(web.signals).toHaveLength(2)); // the versions of its two files
    await adapters.remove('a');
    const failure = { reason: { code: 'adapter_unknown', message: expect.stringContaining('removed') } };
    expect(await both).toMatchObject([failure, failure]);
    expect(web.signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    await adapters.add('b', url(1));
    const pending = Promise.allSettled([load('b'), ask('b')]);
    await close();
    expect(await pending).toMatchObject([{ reason: { code: 'closed' } }, { reason: { code: 'closed' } }]);
  });
});

test('progress is told of what is read from the origin, to all who wait', async () => {
  serveWeb();
  const { adapters } = await open();
  await adapters.add('a', url(1));
  const seen: [number[], number[]] = [[], []];
  await Promise.all(seen.map((loaded) => adapters.load('a', { onProgress: (progress) => loaded.push(progress.loaded / progress.total) })));
  expect(seen[0]!.at(-1)).toBe(1);
  expect(seen[1]).toEqual(seen[0]);
  await adapters.load('a', { onProgress: () => seen[0]!.push(7) });
  expect(seen[0]).not.toContain(7);
});

/** A folder that never answers. */
const silent = (id: string): Source => ({
  ...dropped(id, 1),
  size: () => new Promise(() => undefined),
  read: () => new Promise(() => undefined),
});

describe('origins that never answer', () => {
  test('keep no other from being asked, however many they are and though nothing else happens', async () => {
    const { adapters, ask } = await open();
    for (let i = 0; i < 14; i++) await adapters.add(`silent ${i}`, silent(`silent ${i}`));
    await adapters.add('good', dropped('good', 2));
    for (let i = 0; i < 14; i++) void ask(`silent ${i}`).catch(() => undefined);
    expect(await ask('good')).toBe(await answer(2));
  }, 15_000);

  test('nor do they hold the room that memory has for one', async () => {
    const { adapters, ask } = await open({ memory: { heap: ADAPTER_BYTES }, slots: 2 });
    for (const seed of [2, 3]) await adapters.add(`${seed}`, dropped(`${seed}`, seed));
    await adapters.add('silent', silent('silent'));
    expect(await ask('2')).toBe(await answer(2)); // what an adapter takes is known now
    void ask('silent').catch(() => undefined);
    expect(await ask('3')).toBe(await answer(3));
  }, 15_000);
});
