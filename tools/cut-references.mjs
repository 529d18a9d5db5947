// Copies families of ../shared/references/arch into test/fixtures/arch: the base, some adapters, and of the references the
// prompts of these models that are 5 and 40 tokens long. Usage: node tools/cut-references.mjs FAMILY ADAPTER...
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const [family, ...adapters] = process.argv.slice(2);
const from = new URL(`../../shared/references/arch/${family}/`, import.meta.url).pathname;
const to = new URL(`../test/fixtures/arch/${family}/`, import.meta.url).pathname;
const PROMPTS = [1, 3];

mkdirSync(to, { recursive: true });
const copy = { recursive: true, mode: 0 };
cpSync(`${from}base`, `${to}base`, copy);
for (const adapter of adapters) cpSync(`${from}adapters/${adapter}`, `${to}adapters/${adapter}`, copy);

const models = ['base', ...adapters];
const all = JSON.parse(readFileSync(`${from}reference.json`, 'utf8'));
writeFileSync(`${to}reference.json`, JSON.stringify(Object.fromEntries(models.map((name) => [name, PROMPTS.map((i) => all[name][i])]))));

const bytes = readFileSync(`${from}logits.safetensors`);
const length = Number(bytes.readBigUInt64LE(0));
const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
const tensors = {};
const parts = [];
let at = 0;
for (const model of models) {
  for (const [i, prompt] of PROMPTS.entries()) {
    const { dtype, shape, data_offsets } = header[`${model}.${prompt}`];
    const [start, end] = data_offsets;
    parts.push(bytes.subarray(8 + length + start, 8 + length + end));
    tensors[`${model}.${i}`] = { dtype, shape, data_offsets: [at, at + end - start] };
    at += end - start;
  }
}
const text = Buffer.from(JSON.stringify(tensors));
const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
const size = Buffer.alloc(8);
size.writeBigUInt64LE(BigInt(padded.length));
writeFileSync(`${to}logits.safetensors`, Buffer.concat([size, padded, ...parts]));
