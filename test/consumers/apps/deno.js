// An app in Deno, on its own WebGPU or on Dawn: `deno run -A deno.js MODELS MESSAGE [dawn]`.
import { createEngine } from 'weblora';
import { serveThree } from './serve.js';

const [models, message, kind] = Deno.args;
const gpu = kind === 'dawn' ? (await import('npm:webgpu')).create([]) : navigator.gpu;
const engine = await createEngine({ gpu, model: `${models}/base`, memory: { pool: 32 << 20 } });
console.log(JSON.stringify(await serveThree(engine, models, message)));
Deno.exit(0);
