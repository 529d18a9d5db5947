// Cases that run kernels or the model itself, in a worker.
import { runCase, type Asked } from '../suites/run.ts';
import { suitesHere } from './suites-run.ts';

const suites = suitesHere(() => {
  throw new Error('Engines of these suites are opened by the page');
});

globalThis.addEventListener('message', ({ data }: MessageEvent<Asked>) => {
  void runCase(suites, data).then((failure) => globalThis.postMessage(failure));
});
