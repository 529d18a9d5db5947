import type { GenerateOptions, Generation, Result, TokenLogprob } from '../../src/engine/types.ts';
import type { Part } from '../../src/model/plan.ts';
import { addAdapters, LLAMA, LLAMA_ADAPTERS } from './adapters.ts';
import { openDirectModel, promptChunk, type DirectModel } from './direct-model.ts';
import { folder, source } from './fixtures.ts';
import { check, type Case, type Environment, type SuiteEngine } from './suite.ts';

type Batch = readonly [chunk: number, others: number];

/** Tokens of a prompt in one step, and how many others run beside it. With 31 of them every row has an adapter of its own. */
const BATCHES: readonly Batch[] = [
  [64, 0],
  [64, 1],
  [64, 7],
  [64, 31],
  [16, 0],
  [16, 31],
];
/** The same with a step for every token. */
const SLOW: readonly Batch[] = [
  [1, 0],
  [1, 31],
];
/** More than one tile of 64 keys, and no multiple of a page. */
const LENGTH = 77;
/** Runs over a page boundary (80) while it decodes. */
const TOKENS = 8;

/** A prompt whose tokens are spread over the vocabulary of 512. */
export const prompt = (length: number, first: number): number[] => Array.from({ length }, (_, i) => 3 + ((first + i * 37) % 509));

const otherPrompt = (i: number): number[] => prompt(1 + ((i * 7) % 45), i * 11);

/** First place where two rows of floats differ in their bits. */
function differing(a: Float32Array, b: Float32Array): number | undefined {
  const left = new Uint32Array(a.buffer, a.byteOffset, a.length);
  const right = new Uint32Array(b.buffer, b.byteOffset, b.length);
  if (left.length !== right.length) return Math.min(left.length, right.length);
  const place = left.findIndex((word, i) => word !== right[i]);
  return place < 0 ? undefined : place;
}

export function sameBits(where: string, found: Float32Array, expected: Float32Array): void {
  const place = differing(found, expected);
  check(place === undefined, () => `${where}: value ${place} is ${found[place!]}, alone and whole it is ${expected[place!]}`);
}

/** Logits of all positions of a prompt that is run in chunks, beside one row of each of the others in every step. */
export async function run(
  direct: DirectModel,
  tokens: readonly number[],
  part: Part | undefined,
  chunk: number,
  others: readonly Part[],
): Promise<Float32Array[]> {
  for (const slot of others.keys()) direct.open(slot, 200);
  const own = others.length;
  const middle = own >> 1;
  direct.open(own, tokens.length);
  const rows: Float32Array[] = [];
  for (let start = 0, step = 0; start < tokens.length; start += chunk, step++) {
    const count = Math.min(chunk, tokens.length - start);
    const items = others.map((other, slot) =>
      promptChunk(slot, [...Array.from({ length: step }, () => 0), 3 + slot * 5 + step], step, 1, other),
    );
    items.splice(middle, 0, promptChunk(own, tokens, start, count, part));
    const outputs = await direct.model.submit(items);
    rows.push(...outputs[middle]!.logits);
  }
  for (let slot = 0; slot <= own; slot++) direct.close(slot);
  return rows;
}

async function checkRaw(environment: Environment, precision: 'exact' | 'half'): Promise<void> {
  await using direct = await openDirectModel(environment.gpu, await folder(environment, `${LLAMA}/base`), { precision, batchRows: 128 });
  const placed: Part[] = [];
  for (let i = 0; i < 32; i++) {
    placed.push(await direct.place(await folder(environment, `${LLAMA}/adapters/${LLAMA_ADAPTERS[i % LLAMA_ADAPTERS.length]!}`)));
  }
  const tokens = prompt(LENGTH, 5);
  const expected = new Map<Part | undefined, readonly Float32Array[]>();
  for (const part of [undefined, placed[0], placed[5]]) expected.set(part, await run(direct, tokens, part, LENGTH, []));
  for (const [part, whole] of expected) {
    const where = part ? `slot ${part.slot}` : 'base';
    for (const [chunk, crowd] of part === placed[5] ? [...BATCHES, ...SLOW] : BATCHES) {
      const others = placed.filter((other) => other !== part).slice(0, crowd);
      const rows = await run(direct, tokens, part, chunk, others);
      for (const [position, row] of rows.entries()) {
        sameBits(`${where}, chunks of ${chunk}, ${crowd} others, position ${position}`, row, whole[position]!);
      }
    }
  }
}

interface Probe {
  readonly name: string;
  readonly options: GenerateOptions;
}

/** Runs a probe while `crowd` others run: some of them began before it and decode, some wait behind it. */
async function among(engine: SuiteEngine, probe: Probe, others: readonly string[]): Promise<Result> {
  const stops = others.map(() => new AbortController());
  const start = (adapter: string, i: number): Generation =>
    engine.generate(otherPrompt(i), { adapter, maxTokens: 300, ignoreEos: true, temperature: i % 2, seed: i, signal: stops[i]!.signal });
  const before = others.slice(0, Math.ceil(others.length / 2)).map(start);
  await before[0]?.[Symbol.asyncIterator]().next();
  const result = engine
    .generate(prompt(LENGTH, 5), { ...probe.options, maxTokens: TOKENS, ignoreEos: true, logprobs: -1, promptLogprobs: -1 })
    .result();
  const behind = others.slice(before.length).map((adapter, i) => start(adapter, before.length + i));
  const found = await result;
  for (const stop of stops) stop.abort();
  await Promise.allSettled([...before, ...behind].map((other) => other.result()));
  return found;
}

function sameLogprobs(where: string, found: readonly (TokenLogprob | undefined)[], expected: readonly (TokenLogprob | undefined)[]): void {
  check(found.length === expected.length, () => `${where}: ${found.length} positions, alone ${expected.length}`);
  for (const [i, one] of found.entries()) {
    const other = expected[i];
    if (!one || !other) continue;
    check(one.token === other.token, () => `${where} ${i}: token ${one.token}, alone ${other.token}`);
    check(one.topTokens.join() === other.topTokens.join(), () => `${where} ${i}: the order of tokens differs`);
    sameBits(`${where} ${i}`, one.topLogprobs, other.topLogprobs);
  }
}

async function checkEngine(environment: Environment): Promise<void> {
  const alone = new Map<string, Result>();
  for (const prefillChunk of [64, 16, 1]) {
    await using engine = await environment.createEngine({
      model: await source(environment, `${LLAMA}/base`),
      precision: 'exact',
      deterministic: true,
      memory: { pool: 24 << 20 },
      limits: { prefillChunk },
    });
    const ids = await addAdapters(environment, engine, 32);
    const probes: readonly Probe[] = [
      { name: 'sampled with an adapter', options: { adapter: ids[5]!, temperature: 0.9, seed: 2 ** 40 + 7 } },
      { name: 'greedy without', options: {} },
    ];
    for (const probe of probes) {
      for (const [, crowd] of [...BATCHES, ...SLOW].filter(([chunk]) => chunk === prefillChunk)) {
        const others = ids.filter((id) => id !== probe.options.adapter).slice(0, crowd);
        const result = await among(engine, probe, others);
        const expected = alone.get(probe.name) ?? result;
        alone.set(probe.name, expected);
        const where = `${probe.name}, chunks of ${prefillChunk}, ${crowd} others`;
        check(
          result.tokens.join() === expected.tokens.join(),
          () => `${where}: tokens ${result.tokens.join()}, alone ${expected.tokens.join()}`,
        );
        sameLogprobs(`${where}, prompt position`, result.promptLogprobs!, expected.promptLogprobs!);
        sameLogprobs(`${where}, token`, result.logprobs!, expected.logprobs!);
      }
    }
  }
}

/** A request's logits are the same, bit for bit, alone or in any batch and any chunking. */
export function batchingCases(environment: Environment): Case[] {
  return [
    { name: 'exact: raw logits alone, with 1, 7 and 31 others, in chunks of 1, 16 and 64', run: () => checkRaw(environment, 'exact') },
    { name: 'half: raw logits alone, with 1, 7 and 31 others, in chunks of 1, 16 and 64', run: () => checkRaw(environment, 'half') },
    {
      name: 'deterministic engine: log-probabilities and sampled tokens alone, with 1, 7 and 31 others, in chunks of 1, 16 and 64',
      on: 'engine',
      takes: 'minutes',
      run: () => checkEngine(environment),
    },
  ];
}
