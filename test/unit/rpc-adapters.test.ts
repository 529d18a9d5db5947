import { describe, expect, test, vi } from 'vitest';
import type { Adapters, EngineOptions, LoadOptions, Progress } from '../../src/engine/types.ts';
import { WebLoraError } from '../../src/errors.ts';
import { withOpenAI } from '../../src/openai/face.ts';
import type { ServeOptions } from '../../src/rpc/calls.ts';
import { connect } from '../../src/rpc/connect.ts';
import { serveWith } from '../../src/rpc/serve.ts';
import type { ConnectOptions } from '../../src/rpc/types.ts';
import { fakeEngine } from './fake-engine.ts';
import { connected, rejection, served, turns } from './rpc-harness.ts';

/** An engine behind a worker, some of whose calls on adapters are the test's. */
async function withAdapters(calls: Partial<Adapters>) {
  const core = fakeEngine({ adapters: ['a', 'b'] });
  return connected({ ...core, adapters: { ...core.adapters, ...calls } });
}

const step = (loaded: number): Progress => ({ loaded, total: 9, file: 'adapter_model.safetensors' });

describe('adapters behind a worker', () => {
  test('are pinned and let go', async () => {
    const { engine } = await withAdapters({});
    expect(await engine.adapters.pin('a')).toEqual({ id: 'a', source: '/adapters/a', tier: 'gpu', pinned: true });
    await engine.adapters.unpin('a');
    expect((await engine.adapters.list()).map(({ id, pinned }) => `${id} ${pinned}`)).toEqual(['a false', 'b false']);
    expect(await rejection(engine.adapters.unpin('c'))).toMatchObject({ code: 'adapter_unknown' });
    await engine.close();
  });

  test('options cross as they are, wrong ones too: it is the engine that refuses them', async () => {
    const given: unknown[] = [];
    const note = async (...args: unknown[]): Promise<never> => {
      given.push(args);
      return [] as never;
    };
    const { engine } = await withAdapters({ add: note, load: note, pin: note, list: note });
    await engine.adapters.add('a', 'owner/name@main', { replace: true });
    await engine.adapters.add('a', 'x', { again: 1 } as object);
    await engine.adapters.load('a', { revalidate: true });
    await engine.adapters.pin('a', { revalidate: 'yes', other: 2 } as object);
    await engine.adapters.list({ tier: 'heap', limit: 3 });
    await engine.adapters.list({ teir: 'heap' } as object);
    const signal = expect.any(AbortSignal);
    expect(given).toEqual([
      ['a', 'owner/name@main', { replace: true }],
      ['a', 'x', { again: 1 }],
      ['a', { revalidate: true, signal }],
      ['a', { revalidate: 'yes', other: 2, signal }],
      [{ tier: 'heap', limit: 3 }],
      [{ teir: 'heap' }],
    ]);
    await engine.close();
  });

  test.each(['load', 'pin'] as const)('%s tells its progress, the last of it before the answer', async (name) => {
    const core = fakeEngine({ adapters: ['a'] });
    const reading = async (id: string, { onProgress }: LoadOptions = {}) => {
      onProgress?.(step(1));
      await turns(5);
      onProgress?.(step(9));
      return core.adapters.load(id);
    };
    const { engine } = await withAdapters({ [name]: reading });
    const seen: unknown[] = [];
    const info = await engine.adapters[name]('a', { onProgress: (progress) => seen.push(progress) });
    seen.push(info.id);
    expect(seen).toEqual([step(1), step(9), 'a']);
    await engine.adapters[name]('a');
    expect(seen).toHaveLength(3);
    await engine.close();
  });

  test('progress goes to the call that asked for it', async () => {
    const tell = new Map<string, (progress: Progress) => void>();
    const ends = new Map<string, () => void>();
    const load = async (id: string, { onProgress }: LoadOptions = {}): Promise<never> => {
      tell.set(id, onProgress!);
      await new Promise<void>((resolve) => ends.set(id, resolve));
      return { id } as never;
    };
    const { engine } = await withAdapters({ load });
    const seen: string[] = [];
    const loads = ['a', 'b'].map((id) => engine.adapters.load(id, { onProgress: ({ loaded }) => seen.push(`${id} ${loaded}`) }));
    await vi.waitFor(() => expect(ends.size).toBe(2));
    tell.get('b')!(step(1));
    tell.get('a')!(step(2));
    await turns();
    expect(seen).toEqual(['b 1', 'a 2']);
    for (const end of ends.values()) end();
    await Promise.all(loads);
    const post = vi.spyOn(MessagePort.prototype, 'postMessage');
    tell.get('a')!(step(3)); // late: nobody waits
    await turns();
    expect(post).not.toHaveBeenCalled();
    post.mockRestore();
    expect(seen).toHaveLength(2);
    await engine.close();
  });

  test('a callback that throws ends its own call, with what it threw, and nothing else', async () => {
    let signal: AbortSignal | undefined;
    const load = (id: string, options: LoadOptions = {}): Promise<never> => {
      if (id === 'b') return Promise.resolve({ id } as never);
      signal = options.signal;
      options.onProgress?.(step(1));
      return new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason as Error)));
    };
    const { engine } = await withAdapters({ load });
    const mine = new Error('mine');
    const onProgress = (): void => {
      throw mine;
    };
    const generation = engine.generate('hi').result();
    expect(await rejection(engine.adapters.load('a', { onProgress }))).toBe(mine);
    await vi.waitFor(() => expect(signal!.aborted).toBe(true));
    expect(await engine.adapters.load('b')).toEqual({ id: 'b' });
    expect((await generation).text).toBe('base says hi');
    await engine.close();
  });

  test('one that is no function does so too', async () => {
    const load = async (_: string, { onProgress }: LoadOptions = {}): Promise<never> => {
      onProgress?.(step(1));
      await turns();
      throw new WebLoraError('file_missing', 'too late');
    };
    const { engine } = await withAdapters({ load });
    expect(await rejection(engine.adapters.load('a', { onProgress: 5 as never }))).toBeInstanceOf(TypeError);
    await engine.close();
  });
});

describe('options of tiers', () => {
  test('cross', async () => {
    const given = { memory: { pool: 1, heap: 2, disk: 3 }, revalidateAfter: 0, hubToken: 'hf_secret' };
    const { engine, options } = await connected(fakeEngine(), given);
    expect(options).toMatchObject(given);
    await engine.close();
  });
});

describe('resolve', () => {
  async function resolver(worker: ServeOptions['resolve'], page: ConnectOptions['resolve']) {
    let given: EngineOptions | undefined;
    const ends = served(
      async (options) => {
        given = options;
        return withOpenAI(fakeEngine());
      },
      worker && { resolve: worker },
    );
    const engine = await connect(ends.page, { model: 'm', ...(page && { resolve: page }) });
    return { engine, resolve: given!.resolve };
  }

  test('of the worker gives what no message could carry', async () => {
    const folder = { location: 'made', size: async () => undefined, read: async () => new Uint8Array() };
    const { engine, resolve } = await resolver(() => folder, undefined);
    expect(await resolve!('a')).toBe(folder);
    await engine.close();
  });

  test('of the worker is asked first, and the page for what it does not know', async () => {
    const asked: string[] = [];
    const { engine, resolve } = await resolver(
      (id) => {
        asked.push(`worker ${id}`);
        if (id === 'bad') throw new RangeError('no');
        return id === 'made' ? 'https://example.org/made/' : undefined;
      },
      (id) => {
        asked.push(`page ${id}`);
        return id === 'known' ? 'https://example.org/known/' : undefined;
      },
    );
    expect(await resolve!('made')).toBe('https://example.org/made/');
    expect(await resolve!('known')).toBe('https://example.org/known/');
    expect(await resolve!('none')).toBeUndefined();
    expect(await rejection(Promise.resolve(resolve!('bad')))).toBeInstanceOf(RangeError);
    expect(asked).toEqual(['worker made', 'worker known', 'page known', 'worker none', 'page none', 'worker bad']);
    await engine.close();
  });

  test('of nobody is none, and must be a function', async () => {
    const { engine, resolve } = await resolver(undefined, undefined);
    expect(resolve).toBeUndefined();
    await engine.close();
    const { port1 } = new MessageChannel();
    expect(() => serveWith(port1, { resolve: {} as never }, async () => withOpenAI(fakeEngine()))).toThrow('serve: resolve');
  });
});
