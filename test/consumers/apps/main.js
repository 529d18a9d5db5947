// A web app: what a bundler is given.
import { connectEngine } from 'weblora';
import { serveThree } from './serve.js';

globalThis.start = async (message) => {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  const models = `${location.origin}/models/frontdesk`;
  const engine = await connectEngine(worker, { model: `${models}/base`, memory: { pool: 32 << 20 } });
  try {
    return await serveThree(engine, models, message);
  } finally {
    worker.terminate();
  }
};
