// Runs cases of the suites one at a time: those that go through an engine with that engine behind a worker, the others in a worker.
import { connectEngine } from 'weblora';
import { runCase, type Asked } from '../suites/run.ts';
import { suitesHere } from './suites-run.ts';

const suites = suitesHere(async (options) =>
  connectEngine(new Worker(new URL('./engine-worker.ts', import.meta.url), { type: 'module' }), options),
);
const device = new Worker(new URL('./suites-worker.ts', import.meta.url), { type: 'module' });

function inWorker(asked: Asked): Promise<string | undefined> {
  return new Promise((resolve) => {
    device.addEventListener('message', ({ data }: MessageEvent<string | undefined>) => resolve(data), { once: true });
    device.addEventListener('error', (event) => resolve(`The worker failed: ${event.message}`), { once: true });
    device.postMessage(asked);
  });
}

Object.assign(globalThis, {
  runCase: (asked: Asked, on: 'device' | 'engine') => (on === 'engine' ? runCase(suites, asked) : inWorker(asked)),
});
