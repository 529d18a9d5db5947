// Hands what the tests ask for to the worker.
import type { HubAsked } from './hub-worker.ts';

const worker = new Worker(new URL('./hub-worker.ts', import.meta.url), { type: 'module' });
let last = 0;

/** Asks the worker, and waits for its answer. */
function ask(asked: object): Promise<unknown> {
  const id = ++last;
  return new Promise((resolve) => {
    const hear = ({ data }: MessageEvent<{ readonly id: number; readonly result: unknown }>): void => {
      if (data.id !== id) return;
      worker.removeEventListener('message', hear);
      resolve(data.result);
    };
    worker.addEventListener('message', hear);
    worker.addEventListener('error', ({ message }) => resolve(`The worker failed: ${message}`), { once: true });
    worker.postMessage({ ...asked, id } as HubAsked);
  });
}

Object.assign(globalThis, { ask });
