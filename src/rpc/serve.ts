import { createEngine } from '../openai/create.ts';
import type { ServeOptions } from './calls.ts';
import { hostEngine } from './host.ts';
import type { Create } from './host.ts';
import type { WorkerLike } from './types.ts';
import { say } from './wire.ts';
import type { Greeting } from './wire.ts';

const GIVEN: Readonly<Record<keyof ServeOptions, true>> = { tokenizer: true, gpu: true, store: true, resolve: true };

const served = new WeakSet<WorkerLike>();

/**
 * Runs the engine that `connectEngine` asks for, in the worker whose scope this is given: `serve(self)`. One engine at a time; when it
 * was closed, or did not start, the next page may connect. `tokenizer`, `gpu`, `store` and `resolve` are as in `createEngine`'s options; what
 * this `resolve` does not know the page's is asked for. Messages of the app's own pass by untouched.
 *
 * @throws TypeError for unknown options, for a `resolve` that is no function, and where this scope is served already.
 */
export function serve(self: WorkerLike, given: ServeOptions = {}): void {
  serveWith(self, given, createEngine);
}

/** `serve` with engines from `create`. */
export function serveWith(self: WorkerLike, given: ServeOptions, create: Create): void {
  for (const name of Object.keys(given)) {
    if (!(name in GIVEN))
      throw new TypeError(`serve: unknown option "${name}" (known: ${Object.keys(GIVEN).join(', ')}); others go to connectEngine`);
  }
  if (given.resolve !== undefined && typeof given.resolve !== 'function') throw new TypeError('serve: resolve must be a function');
  if (served.has(self)) throw new TypeError('serve was called for this worker already: one call serves all that connect.');
  served.add(self);
  let latest: string | undefined;
  let state: 'free' | 'taken' = 'free';
  self.addEventListener('message', ({ data }: MessageEvent<Greeting | undefined>) => {
    if (data?.weblora === 'bye' && data.session === latest) state = 'free';
    if (data?.weblora !== 'hello' || data.session === latest) return;
    if (state === 'taken') return say(self, { weblora: 'taken', session: data.session });
    state = 'taken';
    latest = data.session;
    const { session } = data;
    void welcome(self, session, given, create, () => {
      if (session === latest) state = 'free'; // one that said bye may end when the next is here
    });
  });
  (self as { start?: () => void }).start?.(); // as a MessagePort needs
  say(self, { weblora: 'ready' });
}

async function welcome(self: WorkerLike, session: string, given: ServeOptions, create: Create, ended: () => void): Promise<void> {
  const letGo = await holdLock(session);
  const { port1, port2 } = new MessageChannel();
  hostEngine(port1, given, create, () => {
    ended();
    if (letGo) setTimeout(letGo); // after the answer to `close`: to whoever gets the lock first, the worker seems to be lost
  });
  say(self, { weblora: 'here', session, port: port2, lock: letGo ? 'held' : 'none' }, [port2]);
}

/** Holds a lock for as long as this worker lives, or until what it resolves to is called; undefined where there are no locks. */
function holdLock(name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve) => {
    const { locks } = (globalThis.navigator ?? {}) as { locks?: LockManager };
    if (locks === undefined) return resolve(undefined);
    const hold = (): Promise<void> => new Promise((letGo) => resolve(letGo));
    locks.request(name, hold).catch(() => resolve(undefined)); // a sandboxed frame has the interface and may not use it
  });
}
