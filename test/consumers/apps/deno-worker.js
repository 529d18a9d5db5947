// An app in Deno with the engine in a worker: `deno run -A deno-worker.js MODELS MESSAGE`.
import { connectEngine } from 'weblora';
import { serveThree } from './serve.js';

const [models, message] = Deno.args;
const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
const engine = await connectEngine(worker, { model: `${models}/base`, memory: { pool: 32 << 20 } });
console.log(JSON.stringify(await serveThree(engine, models, message)));
Deno.exit(0);
