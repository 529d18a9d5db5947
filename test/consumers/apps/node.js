// An app in Node: `node node.js MODELS MESSAGE`.
import { createEngine } from 'weblora';
import { dawn } from 'weblora/node';
import { serveThree } from './serve.js';

const [models, message] = process.argv.slice(2);
const engine = await createEngine({ gpu: await dawn({ software: true }), model: `${models}/base`, memory: { pool: 32 << 20 } });
console.log(JSON.stringify(await serveThree(engine, models, message)));
