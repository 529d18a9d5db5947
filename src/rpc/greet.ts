import { WebLoraError } from '../errors.ts';
import type { WorkerLike } from './types.ts';
import { say } from './wire.ts';
import type { Envelope, Greeting, ToWorker } from './wire.ts';

/** How long a worker may take to load its script and call `serve`. */
const LONGEST_START_MS = 60_000;

/** A worker that answered. */
export interface Greeted {
  readonly port: MessagePort;
  /** A Web Lock that the worker holds; undefined where there are none. */
  readonly lock: string | undefined;
}

/** Says hello until the worker answers. Rejects with `request_invalid` where it runs an engine already, and with `worker_lost`. */
export function greet(worker: WorkerLike): { readonly answer: Promise<Greeted>; stop(): void } {
  const session = `weblora-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
  let state: 'waiting' | 'answered' | 'stopped' = 'waiting';
  let stop = (): void => undefined;
  const answer = new Promise<Greeted>((resolve, reject) => {
    const hello = (): void => say(worker, { weblora: 'hello', session });
    const hear = ({ data }: MessageEvent<Greeting | undefined>): void => {
      if (data?.weblora === 'ready' && state === 'waiting') hello();
      if (data?.weblora !== 'here' && data?.weblora !== 'taken') return;
      if (data.session !== session) return;
      worker.removeEventListener('message', hear);
      if (data.weblora === 'here') {
        if (state === 'stopped') return turnAway(data.port);
        state = 'answered';
        resolve({ port: data.port, lock: data.lock === 'held' ? session : undefined });
      } else {
        state = 'answered';
        reject(
          new WebLoraError('request_invalid', 'This worker runs an engine already: close that one, or start another worker.', {
            param: 'worker',
          }),
        );
      }
    };
    const timer = setTimeout(() => {
      const message = `The worker did not answer for ${LONGEST_START_MS / 1000} s. Its script must call serve(self) from weblora/worker.`;
      reject(new WebLoraError('worker_lost', message));
    }, LONGEST_START_MS);
    stop = () => {
      clearTimeout(timer);
      if (state === 'answered') return;
      say(worker, { weblora: 'bye', session }); // behind the hello, so that another hello finds the worker free
      state = 'stopped'; // an answer that comes later is heard: the worker must learn that nobody is there
    };
    worker.addEventListener('message', hear);
    (worker as { start?: () => void }).start?.();
    hello();
  });
  return { answer, stop };
}

function turnAway(port: MessagePort): void {
  port.postMessage({ weblora: { kind: 'leave' } } satisfies Envelope<ToWorker>);
  port.close();
}
