import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { EngineOptions, GpuProvider } from 'weblora';
import { openFolder, readJson } from '../../src/formats/folder.ts';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import { createBuffers } from '../../src/gpu/buffers.ts';
import { openGpu } from '../../src/gpu/device.ts';
import { parseModelConfig } from '../../src/model/config.ts';
import type { Part } from '../../src/model/plan.ts';
import { modelShape } from '../../src/model/shape.ts';
import { QUANTIZATION } from '../../src/model/plane-types.ts';
import { placeWeights } from '../../src/model/weights.ts';
import { openDirectModel, promptChunk } from '../../test/suites/direct-model.ts';
import { median } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import { ADAPTERS, FOLDER, openEngine } from './frontdesk.ts';

/** A message, what the model answered in transformers, and what the task's right answer is: the base has none. */
interface Task {
  readonly model: string;
  readonly message: string;
  readonly prompt: readonly number[];
  readonly text: string;
  readonly expected: string | null;
}

type Kind = 'none' | NonNullable<EngineOptions['quantize']>;
const KINDS: readonly Kind[] = ['none', 'q8', 'q4'];

/** Prompts of each model whose logits are compared. */
const PROMPTS = 3;
const LOADS = 5;
/** Answers that rounding to 8 bits may cost, of 96. */
const Q8_LOSS = 1;
/** 4 bits of a model of 7 million parameters, whose matrices have no redundancy to spare. */
const Q4_LOSS = 8;

/** What rounding the weights costs in answers and saves in bytes. */
export async function quantized(gpu: GpuProvider): Promise<Row[]> {
  const file = fileURLToPath(new URL('../../test/fixtures/frontdesk/reference.json', import.meta.url));
  const tasks = JSON.parse(readFileSync(file, 'utf8')) as readonly Task[];
  const rows: Row[] = [];
  let exact: readonly Float32Array[] = [];
  let texts: readonly string[] = [];
  let right = 0;
  for (const kind of KINDS) {
    const name = `quantized/${kind}`;
    rows.push(...(await weightRows(gpu, name, kind)));
    const logits = await logitsOf(gpu, kind, tasks);
    if (kind === 'none') exact = logits;
    else rows.push(...errorRows(name, logits, exact));
    const answers = await answersOf(gpu, kind, tasks);
    const found = answers.filter((text, i) => text === tasks[i]!.expected).length;
    if (kind === 'none') [texts, right] = [answers, found];
    const of = tasks.filter(({ expected }) => expected !== null).length;
    const wanted = `>= ${right - { none: 0, q8: Q8_LOSS, q4: Q4_LOSS }[kind]}`;
    rows.push(gate({ name: `${name}: right answers`, value: found, unit: 'answers', of }, wanted));
    const same = answers.filter((text, i) => text === texts[i]).length;
    if (kind !== 'none') rows.push({ name: `${name}: answers as unquantised`, value: same, unit: 'answers', of: answers.length });
  }
  return rows;
}

const base = `${FOLDER}/base`;

/** Bytes of the buffers that hold weights, and how long it takes to fill them. */
async function weightRows(provider: GpuProvider, name: string, kind: Kind): Promise<Row[]> {
  const folder = await openFolder(base);
  const config = parseModelConfig(await readJson(folder, 'config.json'), base);
  const files = await openSafetensors(folder, 'model');
  const gpu = await openGpu(provider);
  const quantize = kind === 'none' ? undefined : QUANTIZATION[kind];
  const times: number[] = [];
  let bytes = 0;
  for (let load = 0; load < LOADS; load++) {
    const buffers = createBuffers(gpu.device);
    const loading = {
      device: gpu.device,
      buffers,
      files,
      precision: 'exact',
      quantize,
      halves: 'kept',
      onProgress: () => undefined,
      signal: undefined,
    } as const;
    const began = performance.now();
    await (await placeWeights(loading, config, modelShape(config))).fill();
    times.push(performance.now() - began);
    bytes = buffers.bytes();
    buffers.destroy();
  }
  gpu.device.destroy();
  const numbers = [...files.tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return [
    { name: `${name}: weights`, value: bytes, unit: 'bytes', bitsOfEach: (8 * bytes) / numbers },
    { name: `${name}: loading`, value: median(times), unit: 'ms', nanosecondsOfEach: (1e6 * median(times)) / numbers },
  ];
}

/** Logits of every position of some prompts, with each prompt's adapter. */
async function logitsOf(gpu: GpuProvider, kind: Kind, tasks: readonly Task[]): Promise<readonly Float32Array[]> {
  const quantize = kind === 'none' ? {} : { quantize: QUANTIZATION[kind] };
  await using direct = await openDirectModel(gpu, await openFolder(base), { precision: 'exact', poolBytes: 64 << 20, ...quantize });
  const parts = new Map<string, Part>();
  for (const id of ADAPTERS) parts.set(id, await direct.place(await openFolder(`${FOLDER}/adapters/${id}`)));
  const seen = new Map<string, number>();
  const some = tasks.filter(({ model }) => {
    seen.set(model, (seen.get(model) ?? 0) + 1);
    return seen.get(model)! <= PROMPTS;
  });
  const items = some.map(({ model, prompt }, slot) => {
    direct.open(slot, prompt.length);
    return promptChunk(slot, prompt, 0, prompt.length, parts.get(model));
  });
  return (await direct.model.submit(items)).flatMap(({ logits }) => logits);
}

/** Errors of logits as shares of their position's largest. */
function errorRows(name: string, found: readonly Float32Array[], exact: readonly Float32Array[]): Row[] {
  let sum = 0;
  let count = 0;
  let most = 0;
  let first = 0;
  for (const [position, row] of exact.entries()) {
    const scale = row.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    const own = found[position]!;
    for (const [token, value] of row.entries()) {
      const error = Math.abs(own[token]! - value) / scale;
      sum += error;
      most = Math.max(most, error);
    }
    count += row.length;
    if (best(own) === best(row)) first++;
  }
  return [
    { name: `${name}: mean logit error`, value: sum / count, unit: 'of the largest logit', positions: exact.length },
    { name: `${name}: largest logit error`, value: most, unit: 'of the largest logit' },
    { name: `${name}: likeliest token as unquantised`, value: first, unit: 'positions', of: exact.length },
  ];
}

const best = (row: Float32Array): number => row.reduce((at, value, token) => (value > row[at]! ? token : at), 0);

/** Greedy answers to all messages, as texts. */
async function answersOf(gpu: GpuProvider, kind: Kind, tasks: readonly Task[]): Promise<readonly string[]> {
  const engine = await openEngine(gpu, {
    memory: { pool: 128 << 20 },
    limits: { sequences: tasks.length, batchRows: 256, stepMs: 60_000 },
    ...(kind === 'none' ? {} : { quantize: kind }),
  });
  try {
    const results = await Promise.all(
      tasks.map(({ model, message }) =>
        engine.generate([{ role: 'user', content: message }], { ...(model === 'base' ? {} : { adapter: model }), maxTokens: 96 }).result(),
      ),
    );
    return results.map(({ text }) => text);
  } finally {
    await engine.close();
  }
}
