// Starts a worker, opens every kind of call and stream on its engine, ends the worker, and says what each of them threw, and when.
import { connect } from '../../src/rpc/connect.ts';

/** `early`: while the engine is being loaded. */
export type Death = 'throw' | 'close' | 'terminate' | 'terminate, unseen' | 'script' | 'early close' | 'early terminate' | 'early throw';

export interface Ended {
  readonly code: string;
  readonly message: string;
  /** From the end of the worker. */
  readonly ms: number;
}

async function readAll(values: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of values);
}

function start(death: Death): Worker {
  if (death === 'script') return new Worker('/test/browser/no-such-worker.js', { type: 'module' });
  return new Worker(new URL('./worker-deaths-worker.ts', import.meta.url), { type: 'module' });
}

function end(worker: Worker, death: Death): void {
  if (death.endsWith('terminate')) worker.terminate();
  // An app may have kept the method of the class.
  if (death.endsWith('unseen')) Worker.prototype.terminate.call(worker);
  if (death.endsWith('throw')) worker.postMessage({ end: 'throw' }, []);
  if (death.endsWith('close')) worker.postMessage({ end: 'close' }, []);
}

/** What every open call threw. */
async function die(death: Death): Promise<Ended[]> {
  const worker = start(death);
  let began = performance.now();
  const open: Promise<unknown>[] = [];
  if (death === 'script' || death.startsWith('early')) {
    open.push(connect(worker, { model: 'never' }));
    if (death !== 'script') await new Promise((resolve) => setTimeout(resolve, 1500));
  } else {
    const engine = await connect(worker, { model: 'base' });
    const body = { model: 'base', prompt: 'hi' };
    open.push(
      readAll(engine.generate('hi')),
      engine.generate('hi').result(),
      readAll(engine.events()),
      engine.completions.create(body),
      engine.completions.create({ ...body, stream: true }).then(readAll),
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  began = performance.now();
  end(worker, death);
  return Promise.all(
    open.map((call) =>
      call.then(
        () => ({ code: 'none', message: 'it did not fail', ms: performance.now() - began }),
        (error: { code: string; message: string }) => ({ code: error.code, message: error.message, ms: performance.now() - began }),
      ),
    ),
  );
}

Object.assign(globalThis, { die });
