import { afterEach, describe, expect, test, vi } from 'vitest';
import type { EngineOptions, Progress } from '../../src/engine/types.ts';
import { WebLoraError } from '../../src/errors.ts';
import { withOpenAI } from '../../src/openai/face.ts';
import { connect, connectEngine } from '../../src/rpc/connect.ts';
import { serveWith } from '../../src/rpc/serve.ts';
import { say } from '../../src/rpc/wire.ts';
import { fakeEngine } from './fake-engine.ts';
import { connected, connectedToFake, rejection, served, turns } from './rpc-harness.ts';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('starting', () => {
  test('options cross, functions are called by messages', async () => {
    const seen: Progress[] = [];
    let given: EngineOptions | undefined;
    const { page } = served(async (options) => {
      given = options;
      options.onProgress?.({ loaded: 1, total: 2, file: 'a' });
      options.onProgress?.({ loaded: 2, total: 2, file: 'a' });
      return withOpenAI(fakeEngine());
    });
    const memory = { pool: 5 };
    const engine = await connect(page, {
      model: new URL('https://example.org/m/'),
      memory,
      precision: 'exact',
      onProgress: (p) => seen.push(p),
    });
    expect(seen).toEqual([
      { loaded: 1, total: 2, file: 'a' },
      { loaded: 2, total: 2, file: 'a' },
    ]);
    expect(given).toMatchObject({ model: 'https://example.org/m/', memory, precision: 'exact' });
    expect(given).not.toHaveProperty('resolve');
    await engine.close();
  });

  test('an error of the progress callback is the error of the call', async () => {
    const error = new Error('mine');
    const { page } = served(
      ({ onProgress, signal }) =>
        new Promise((_, reject) => {
          signal!.addEventListener('abort', () => reject(signal!.reason as Error));
          onProgress?.({ loaded: 1, total: 2, file: 'a' });
        }),
    );
    const onProgress = (): void => {
      throw error;
    };
    expect(await rejection(connect(page, { model: 'm', onProgress }))).toBe(error);
  });

  test('the page resolves adapters', async () => {
    const { options, engine } = await connected(fakeEngine(), {
      resolve: (id) => {
        if (id === 'bad') throw new RangeError('no');
        return id === 'none' ? undefined : new URL(`https://example.org/${id}/`);
      },
    });
    expect(await options.resolve!('a')).toBe('https://example.org/a/');
    expect(await options.resolve!('none')).toBeUndefined();
    expect(await rejection(Promise.resolve(options.resolve!('bad')))).toBeInstanceOf(RangeError);
    await engine.close();
  });

  test('what the worker gets is given there', async () => {
    for (const name of ['tokenizer', 'gpu', 'store']) {
      const error = await rejection(connect(new MessageChannel().port1, { model: 'm', [name]: {} }));
      expect(error).toBeInstanceOf(TypeError);
      expect(String(error)).toContain('serve(self');
    }
    expect(() => serveWith(new MessageChannel().port1, { model: 'm' } as object, async () => withOpenAI(fakeEngine()))).toThrow(TypeError);
    let given: EngineOptions | undefined;
    const gpu = { requestAdapter: async () => undefined };
    const { page } = served(
      async (options) => {
        given = options;
        return withOpenAI(fakeEngine());
      },
      { gpu },
    );
    const engine = await connect(page, { model: 'm' });
    expect(given!.gpu).toBe(gpu);
    await engine.close();
  });

  test('what is no worker, and no signal, is told of', async () => {
    for (const worker of ['./worker.js', undefined, {}]) {
      expect(String(await rejection(connect(worker as unknown as MessagePort, { model: 'm' })))).toContain('must be a Worker');
    }
    const signal = new AbortController() as unknown as AbortSignal;
    const wrong = expect.objectContaining({ code: 'request_invalid', param: 'signal' });
    expect(await rejection(connect(new MessageChannel().port1, { model: 'm', signal }))).toEqual(wrong);
    const { engine } = await connectedToFake();
    expect(await rejection(engine.generate('hi', { signal }).result())).toEqual(wrong);
    expect(await rejection(engine.adapters.load('a', { signal }))).toEqual(wrong);
    await engine.close();
  });

  test('Node is told what to call', async () => {
    const error = await rejection(connectEngine(new MessageChannel().port1, { model: 'm' }));
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toContain('createEngine({ gpu: await dawn(), store: folderStore(path) })');
  });

  test('what fails there fails here, and the worker can be asked again', async () => {
    let attempts = 0;
    const { page } = served(async () => {
      if (attempts++ === 0) throw new WebLoraError('file_missing', 'no config.json');
      return withOpenAI(fakeEngine());
    });
    expect(await rejection(connect(page, { model: 'm' }))).toMatchObject({ code: 'file_missing' });
    const engine = await connect(page, { model: 'm' });
    expect(await rejection(connect(page, { model: 'm' }))).toMatchObject({ code: 'request_invalid', param: 'worker' });
    expect((await engine.stats()).device).toBe('fake');
    await engine.close();
    await (await connect(page, { model: 'm' })).close();
  });

  test('a signal ends the start, before and after the worker answers', async () => {
    const { port1, port2 } = new MessageChannel();
    const early = new AbortController();
    const waiting = rejection(connect(port1, { model: 'm', signal: early.signal }));
    early.abort('early');
    expect(await waiting).toBe('early');
    let load: AbortSignal | undefined;
    serveWith(port2, {}, ({ signal }) => {
      load = signal;
      return new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason as Error)));
    });
    await turns();
    const late = new AbortController();
    const loading = rejection(connect(port1, { model: 'm', signal: late.signal }));
    await vi.waitFor(() => expect(load).toBeDefined());
    late.abort('late');
    expect(await loading).toBe('late');
  });

  test('a signal that comes while the answer is on its way leaves no engine behind', async () => {
    const engine = fakeEngine();
    const controller = new AbortController();
    const { page } = served(async () => {
      controller.abort('too late for the worker');
      return withOpenAI(engine);
    });
    expect(await rejection(connect(page, { model: 'm', signal: controller.signal }))).toBe('too late for the worker');
    await vi.waitFor(() => expect(engine.closed()).toBe(true));
    const { port1, port2 } = new MessageChannel();
    await expect(connect(port1, { model: 'm', signal: controller.signal })).rejects.toBe('too late for the worker');
    port2.close();
  });

  test('a script that serves late is heard, one that never does is named', async () => {
    const { port1, port2 } = new MessageChannel();
    port2.start(); // what comes now is dropped
    const connecting = connect(port1, { model: 'm' });
    await turns();
    serveWith(port2, {}, async () => withOpenAI(fakeEngine()));
    await (await connecting).close();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const never = rejection(connect(new MessageChannel().port1, { model: 'm' }));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await never).toMatchObject({ code: 'worker_lost', message: expect.stringContaining('serve(self)') });
  });

  test('the worker is free again when the page says that it leaves', async () => {
    const { page } = served(async () => withOpenAI(fakeEngine()));
    const hello = (session: string): Promise<{ readonly weblora: string; readonly port: MessagePort }> =>
      new Promise((resolve) => {
        const hear = ({ data }: MessageEvent): void => {
          if (data.session !== session) return;
          page.removeEventListener('message', hear);
          resolve(data);
        };
        page.addEventListener('message', hear);
        page.start();
        say(page, { weblora: 'hello', session });
      });
    const { port } = await hello('a');
    expect((await hello('b')).weblora).toBe('taken');
    port.postMessage({ weblora: { kind: 'leave' } });
    await turns();
    expect((await hello('c')).weblora).toBe('here');
  });

  test('a page that gave up may connect again at once', async () => {
    const { page } = served(async () => withOpenAI(fakeEngine()));
    const controller = new AbortController();
    const first = rejection(connect(page, { model: 'm', signal: controller.signal }));
    controller.abort('changed my mind');
    expect(await first).toBe('changed my mind');
    const engine = await connect(page, { model: 'm' });
    expect((await engine.model()).name).toBe('base');
    await engine.close();
  });

  test('sources cross', async () => {
    const core = fakeEngine();
    const added: unknown[] = [];
    const { engine } = await connected({ ...core, adapters: { ...core.adapters, add: async (_, source) => void added.push(source) } });
    const file = Object.defineProperty(new File(['{}'], 'adapter_config.json'), 'webkitRelativePath', {
      value: 'json/adapter_config.json',
    });
    await engine.adapters.add('a', [file]);
    await engine.adapters.add('b', new URL('https://example.org/b/'));
    await engine.adapters.add('c', 'adapters/c');
    const [[got], ...others] = added as [File[], ...string[]];
    expect(got!.webkitRelativePath).toBe('json/adapter_config.json');
    expect(await got!.text()).toBe('{}');
    expect(others).toEqual(['https://example.org/b/', 'adapters/c']);
    const folder = { location: 'x', size: async () => undefined, read: async () => new Uint8Array() };
    expect(await rejection(engine.adapters.add('d', folder))).toBeInstanceOf(TypeError);
    await engine.close();
  });

  test.each([
    ['models/base/m', 'https://example.org/app/models/base/m'],
    ['./models/m', 'https://example.org/app/models/m'],
    ['models/m', 'models/m'], // a hub id
    ['models/m@v1', 'models/m@v1'],
  ])('%s is meant from the page: %s', async (typed, meant) => {
    let model: unknown;
    const { page } = served(async (options) => {
      model = options.model;
      return withOpenAI(fakeEngine());
    });
    vi.stubGlobal('location', { href: 'https://example.org/app/' });
    const connecting = connect(page, { model: typed });
    vi.stubGlobal('location', { href: 'https://example.org/assets/worker.js' });
    await (await connecting).close();
    expect(model).toBe(meant);
  });
});
