import { withOpenAI } from '../../src/openai/face.ts';
import type { AdapterPart, CoreEngine, GenerateOptions, Result, TokenLogprob } from '../../src/engine/types.ts';
import type { Folder } from '../../src/formats/folder.ts';
import { LLAMA, LLAMA_ADAPTERS, LLAMA_SIZES } from './adapters.ts';
import { llamaLogits } from '../reference/llama.ts';
import { failsWith, failure, idle, openEngine, PROMPT, run, same, WORDS } from './engine-bench.ts';
import { ADAPTER_FILES, folder, memoryFolder, readFiles } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';
import { summedBase } from './summed-base.ts';
import { checkPosition, logSoftmax, tolerance } from './tolerance.ts';

/** The eighth adapter: `r3-qv` with another alpha, which is another digest. */
const EIGHTH = 'r3-qv, louder';

interface Asked {
  readonly what: string;
  readonly prompt: readonly number[];
  readonly parts: readonly AdapterPart[];
}

/** The parts of a blend that is written as `0.5 r8-all + -1 r3-qv`; '' is the base. */
function blendOf(text: string): readonly AdapterPart[] {
  if (text === '') return [];
  return text.split(' + ').map((part) => {
    const space = part.indexOf(' ');
    return { id: part.slice(space + 1), scale: Number(part.slice(0, space)) };
  });
}

/** Blends of mixed ranks and targets, single adapters and the base. */
const BLENDS: readonly string[] = [
  '0.6 r8-all + 0.7 r3-qv',
  '0.5 r64-mlp + -0.75 r16-rslora + 0.4 layer1-only',
  '-1 r8-all + 0 r64-mlp + 1.5 rank-pattern',
  `0.5 all-linear + 0.25 r8-all + -0.5 r3-qv + 0.3 r16-rslora + 0.2 r64-mlp + -0.25 layer1-only + 0.35 rank-pattern + 0.45 ${EIGHTH}`,
  '1 r8-all',
  '-0.5 r64-mlp',
  '',
];

/** A prompt of its own length for each blend. */
function questions(): readonly Asked[] {
  return BLENDS.map((what, i) => ({
    what,
    prompt: Array.from({ length: 5 + ((i * 7) % 13) }, (_, j) => (i * 131 + j * 29 + 3) % 512),
    parts: blendOf(what),
  }));
}

interface Blends {
  readonly engine: CoreEngine;
  /** By id: the fixture's, the eighth, and `r8-all` under two more ids. */
  readonly adapters: ReadonlyMap<string, Folder>;
}

async function open(environment: Environment): Promise<Blends> {
  const adapters = new Map<string, Folder>();
  for (const name of LLAMA_ADAPTERS) adapters.set(name, await folder(environment, `${LLAMA}/adapters/${name}`));
  const files = await readFiles(environment, `${LLAMA}/adapters/r3-qv`, ADAPTER_FILES);
  const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as { lora_alpha: number };
  const louder = new TextEncoder().encode(JSON.stringify({ ...config, lora_alpha: config.lora_alpha * 1.5 }));
  adapters.set(EIGHTH, memoryFolder(EIGHTH, { ...files, 'adapter_config.json': louder }));
  for (const id of ['again', 'once more']) adapters.set(id, { ...adapters.get('r8-all')!, location: id });
  const limits = { batchRows: 128, stepMs: 10_000 }; // all prompts in one step, however slow the device
  const engine = await openEngine(environment, {
    kernels: 'auto',
    deterministic: true,
    prefixCache: false,
    memory: { pool: 4 << 20 },
    limits,
  });
  for (const [id, adapter] of adapters) await engine.adapters.add(id, adapter);
  for (const id of adapters.keys()) await engine.adapters.load(id);
  return { engine, adapters };
}

/** Raw logits of every position of a prompt, from a base that holds the blend's deltas. */
async function referenceLogits(base: Folder, { adapters }: Blends, { prompt, parts: blend }: Asked): Promise<readonly Float32Array[]> {
  const summed = await summedBase(
    base,
    blend.map(({ id, scale }) => ({ adapter: adapters.get(id)!, scale })),
  );
  return llamaLogits(summed, LLAMA_SIZES, prompt).map((row) => Float32Array.from(row));
}

/** Log-probabilities by token id. */
function byToken({ topTokens, topLogprobs }: TokenLogprob): Float32Array {
  const values = new Float32Array(topTokens.length);
  topTokens.forEach((token, place) => (values[token] = topLogprobs[place]!));
  return values;
}

async function checkSums(environment: Environment, blends: Blends): Promise<void> {
  const { engine } = blends;
  const base = await folder(environment, `${LLAMA}/base`);
  const asked = questions();
  const rows = asked.reduce((sum, { prompt }) => sum + prompt.length, 0);
  const options: GenerateOptions = { maxTokens: 1, ignoreEos: true, logprobs: -1, promptLogprobs: -1 };
  const results = await Promise.all(
    asked.map(({ prompt, parts: blend }) => engine.generate(prompt, { ...options, adapter: blend }).result()),
  );
  same((await engine.stats()).maxBatch, { rows, sequences: asked.length, adapters: 8 }, 'the largest step');
  for (const [i, one] of asked.entries()) {
    const reference = await referenceLogits(base, blends, one);
    for (const [position, logits] of reference.entries()) {
      const { promptLogprobs, logprobs } = results[i]!;
      const found = byToken(position + 1 < one.prompt.length ? promptLogprobs![position + 1]! : logprobs![0]!);
      checkPosition(`${one.what}, position ${position}`, found, logSoftmax(logits), logits, tolerance('exact', one.what));
    }
  }
  await idle(engine);
}

/** Every bit that a request reports, as text. */
function bits({ tokens, logprobs, promptLogprobs }: Result): string {
  const row = (one: TokenLogprob | undefined): unknown => one && [...one.topTokens, ...new Uint32Array(one.topLogprobs.buffer)];
  return JSON.stringify([tokens, logprobs!.map(row), promptLogprobs!.map(row)]);
}

/** A whole vocabulary at every position is too much to show. */
function sameBits(found: string, expected: string, what: string): void {
  check(found === expected, () => `${what}: other bits`);
}

async function checkMerging({ engine }: Blends): Promise<void> {
  const answer = async (blend: string): Promise<string> =>
    bits(await run(engine, { adapter: blendOf(blend), logprobs: -1, promptLogprobs: -1 }));
  const once = await answer('0.75 r8-all');
  sameBits(await answer('0.5 r8-all + 0.25 again'), once, 'two ids of one digest');
  sameBits(await answer('1 once more + -0.5 again + 0.25 r8-all'), once, 'three ids of one digest');
  sameBits(await answer('0.25 again + 0.5 again'), once, 'one id twice');
  const base = await answer('');
  check(once !== base, () => 'the adapter changes nothing');
  sameBits(await answer('0.5 r8-all + -0.5 again'), base, 'parts that cancel out');

  const orders = [
    '0.3 r8-all + -0.6 r64-mlp + 0.8 r3-qv + 0.4 again',
    '0.4 again + 0.8 r3-qv + -0.6 r64-mlp + 0.3 r8-all',
    '-0.6 r64-mlp + 0.3 r8-all + 0.4 again + 0.8 r3-qv',
  ];
  const [straight, ...others] = await Promise.all(orders.map(answer));
  for (const other of others) sameBits(other, straight, 'the same parts in another order');
  await idle(engine);
}

async function checkRefusals({ engine }: Blends): Promise<void> {
  const nine = Array.from({ length: 9 }, () => ({ id: 'r8-all', scale: 0.1 }));
  const wrong: readonly (readonly [readonly AdapterPart[], string, ...string[]])[] = [
    [nine, 'request_invalid', '9', '8'],
    [blendOf('NaN r8-all'), 'request_invalid', 'scale', 'NaN'],
    [blendOf('1 r3-qv + Infinity r8-all'), 'request_invalid', 'scale', 'Infinity'],
    [blendOf('1 r8-all + 1 nobody'), 'adapter_unknown', 'nobody'],
  ];
  for (const [adapter, code, ...says] of wrong) {
    await failsWith(run(engine, { adapter }), code, ...says);
    same((await failure(run(engine, { adapter }))).param, 'adapter', `the param of ${code}`);
  }
  const misspelt = [{ id: 'r8-all', weight: 1 }] as unknown as readonly AdapterPart[];
  check((await failure(run(engine, { adapter: misspelt }))) instanceof TypeError, () => 'a part with an unknown name is taken');
  same((await run(engine, { adapter: nine.slice(1) })).tokens.length, 8, 'tokens of eight parts');
  await idle(engine);
}

async function checkFace({ engine: core }: Blends): Promise<void> {
  const engine = withOpenAI(core);
  const body = { prompt: [...PROMPT], max_tokens: 8, ignore_eos: true, temperature: 0 };
  const blend = blendOf('0.5 r8-all + -1 r3-qv');
  const lora = blend.map(({ id, scale }) => ({ name: id, scale }));
  const expected = await run(core, { adapter: blend });
  check(expected.tokens.join() !== (await run(core)).tokens.join(), () => 'the blend changes nothing');
  const { choices } = await engine.completions.create({ ...body, model: 'base', lora });
  same(choices[0]!.text, WORDS.decode(expected.tokens), 'the answer to lora');
  for (const model of ['r8-all', 'nobody']) {
    const error = await failure(engine.completions.create({ ...body, model, lora }));
    same([error.code, error.param], ['request_invalid', 'lora'], `lora beside the model ${model}`);
  }
  const unknown = await failure(engine.completions.create({ ...body, model: 'base', lora: [{ name: 'nobody', scale: 1 }] }));
  same([unknown.code, unknown.param], ['adapter_unknown', 'lora'], 'lora of an unknown adapter');
  await idle(core);
}

/** Requests on several adapters at once. The cases share an engine and run in this order. */
export function blendingCases(environment: Environment): Case[] {
  let opened: Promise<Blends> | undefined;
  const blends = (): Promise<Blends> => (opened ??= open(environment));
  return [
    {
      name: 'blends of 2, 3 and 8 equal a base with their deltas, in one batch with others',
      run: async () => checkSums(environment, await blends()),
    },
    { name: 'equal digests merge, and the order of parts changes no bit', run: async () => checkMerging(await blends()) },
    { name: 'blends that cannot be served are refused', run: async () => checkRefusals(await blends()) },
    { name: "OpenAI's lora is the same blend", run: async () => checkFace(await blends()) },
    { name: 'closes', run: async () => (await blends()).engine.close() },
  ];
}
