import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebLoraError } from '../../src/errors.ts';
import { withOpenAI } from '../../src/openai/face.ts';
import { connect } from '../../src/rpc/connect.ts';
import { serveWith } from '../../src/rpc/serve.ts';
import { fakeEngine } from './fake-engine.ts';
import { connected, connectedToFake, player, readAll, rejection, turns } from './rpc-harness.ts';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A served channel end that is a worker for the page: it can be terminated, and have errors. */
function fakeWorker(core = player()) {
  const { port1, port2 } = new MessageChannel();
  serveWith(port2, {}, async () => withOpenAI(core));
  const terminate = vi.fn<() => void>();
  return { core, worker: Object.assign(port1, { terminate: terminate as () => void }), terminate };
}

/** Web Locks, as far as they are used. */
function createLocks() {
  const held = new Map<string, () => void>();
  let queue: { readonly name: string; grant(): void }[] = [];
  const free = (name: string): void => {
    held.delete(name);
    const next = queue.find((waiting) => waiting.name === name);
    queue = queue.filter((waiting) => waiting !== next);
    next?.grant();
  };
  const request = (name: string, ...rest: unknown[]): Promise<void> =>
    new Promise((resolve, reject) => {
      const callback = rest.at(-1) as () => unknown;
      const grant = (): void => {
        held.set(name, () => free(name));
        void Promise.resolve(callback()).then(() => resolve(free(name)));
      };
      if (!held.has(name)) return grant();
      const waiting = { name, grant };
      queue.push(waiting);
      (rest[0] as { signal: AbortSignal }).signal.addEventListener('abort', () => {
        queue = queue.filter((other) => other !== waiting);
        reject(new DOMException('aborted', 'AbortError'));
      });
    });
  return {
    request,
    held: () => held.size,
    waiting: () => queue.length,
    /** As if those who hold them had ended. */
    takeAll: () => {
      for (const take of [...held.values()]) take();
    },
  };
}

const errorEvent = (fields: object): Event => Object.assign(new Event('error', { cancelable: true }), fields);

describe('closing', () => {
  test('ends the engine; later calls are refused', async () => {
    const { engine, fake } = await connectedToFake();
    await Promise.all([engine.close(), engine.close()]);
    expect(fake.closed()).toBe(true);
    expect(await rejection(engine.stats())).toMatchObject({ code: 'closed' });
    expect(await rejection(engine.generate('hi').result())).toMatchObject({ code: 'closed' });
    await engine.close();
  });

  test('open streams end with what the engine says, or with closed', async () => {
    const core = player();
    const close = async (): Promise<void> => core.played[0]!.fail(new WebLoraError('closed', 'by the engine'));
    const { engine } = await connected({ ...core, close });
    const [told, untold] = [engine.generate('a').result(), engine.generate('b').result()].map(rejection);
    await engine.close();
    expect(await told).toMatchObject({ code: 'closed', message: 'by the engine' });
    expect(await untold).toMatchObject({ code: 'closed', message: 'The engine was closed' });
  });

  test('await using closes', async () => {
    const { engine, fake } = await connectedToFake();
    {
      await using _ = engine;
    }
    expect(fake.closed()).toBe(true);
  });
});

describe('a worker that is lost', () => {
  async function losing(lose: (worker: ReturnType<typeof fakeWorker>['worker']) => void): Promise<WebLoraError[]> {
    const { worker, core } = fakeWorker();
    const engine = await connect(worker, { model: 'm' });
    const streaming = engine.completions.create({ model: 'base', prompt: 'hi', stream: true });
    await vi.waitFor(() => expect(core.played).toHaveLength(1));
    core.played[0]!.push({ text: 'a', tokens: [97] });
    const open = [
      readAll(engine.generate('hi')),
      engine.generate('hi').result(),
      readAll(engine.events()),
      readAll(await streaming),
      engine.completions.create({ model: 'base', prompt: 'hi' }),
    ].map(rejection);
    await turns();
    lose(worker);
    const errors = (await Promise.all([...open, rejection(engine.stats()), rejection(engine.generate('x').result())])) as WebLoraError[];
    await engine.close();
    errors.push((await rejection(engine.stats())) as WebLoraError);
    for (const error of errors) expect(error).toMatchObject({ name: 'WebLoraError', code: 'worker_lost' });
    return errors;
  }

  test('by an uncaught error, which is told', async () => {
    const event = errorEvent({ message: 'Uncaught boom', filename: 'w.js', lineno: 7 });
    const [error] = await losing((worker) => worker.dispatchEvent(event));
    expect(error!.message).toContain('Uncaught boom (w.js:7)');
    expect(event.defaultPrevented).toBe(true);
  });

  test('by terminate', async () => {
    await losing((worker) => worker.terminate());
  });

  test('by a message that cannot be read', async () => {
    await losing((worker) => worker.dispatchEvent(new Event('messageerror')));
  });

  test('before it served', async () => {
    const { port1 } = new MessageChannel();
    const worker = Object.assign(port1, { terminate: () => undefined as void });
    const connecting = rejection(connect(worker, { model: 'm' }));
    worker.terminate();
    expect(await connecting).toMatchObject({ code: 'worker_lost' });
    const failing = rejection(connect(worker, { model: 'm' }));
    worker.dispatchEvent(errorEvent({}));
    expect(await failing).toMatchObject({ code: 'worker_lost', message: expect.stringContaining('did not load') });
  });

  test('while it closes: there is nothing left to close', async () => {
    const { worker } = fakeWorker({ ...player(), close: () => new Promise(() => {}) });
    const engine = await connect(worker, { model: 'm' });
    const streaming = rejection(engine.generate('hi').result());
    const closing = engine.close();
    worker.terminate();
    await closing;
    expect(await streaming).toMatchObject({ code: 'closed' });
  });

  test('without a word, by its lock', async () => {
    const locks = createLocks();
    vi.stubGlobal('navigator', { locks });
    await losing(() => locks.takeAll());
    expect(locks.waiting()).toBe(0);
  });

  test('but not by closing, when its lock is let go', async () => {
    const locks = createLocks();
    vi.stubGlobal('navigator', { locks });
    const { engine } = await connected(player());
    const streaming = rejection(engine.generate('hi').result());
    await engine.close();
    expect(locks.waiting()).toBe(0);
    expect(await streaming).toMatchObject({ code: 'closed' });
    await vi.waitFor(() => expect(locks.held()).toBe(0));
  });

  test('whose locks may not be used is served without', async () => {
    vi.stubGlobal('navigator', { locks: { request: () => Promise.reject(new DOMException('opaque', 'SecurityError')) } });
    const { engine } = await connectedToFake();
    await engine.close();
  });

  test('the engine ends where the page lets go', async () => {
    const fake = fakeEngine();
    const { worker } = fakeWorker({ ...player(), close: fake.close });
    await connect(worker, { model: 'm' });
    const post = vi.spyOn(MessagePort.prototype, 'postMessage');
    worker.dispatchEvent(errorEvent({ message: 'of the app' }));
    // Not every runtime tells the worker that the port was closed.
    expect(post).toHaveBeenCalledWith({ weblora: { kind: 'leave' } });
    post.mockRestore();
    await vi.waitFor(() => expect(fake.closed()).toBe(true));
    await turns();
    await (await connect(worker, { model: 'm' })).close();
  });
});

test('many calls wait on one signal', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const { engine } = await connected(player());
  const controller = new AbortController();
  const calls = Array.from({ length: 30 }, () => engine.generate('hi', { signal: controller.signal }).result());
  controller.abort('enough');
  for (const outcome of await Promise.allSettled(calls)) expect(outcome).toEqual({ status: 'rejected', reason: 'enough' });
  expect(warned).not.toHaveBeenCalled();
  warned.mockRestore();
});
