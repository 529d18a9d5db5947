import { memoryStore, type Store } from '../../src/adapters/store.ts';
import { kernelCases, type CaseTypes } from '../../src/engine/kernel-cases.ts';
import { samplerCase } from '../../src/engine/kernel-cases-sampler.ts';
import { checkFamilies, type Family } from '../../src/engine/kernel-check.ts';
import { chooseAmong, familiesOf, type KernelChoice } from '../../src/engine/kernel-choice.ts';
import { CHECKS_RECORD, forgetChecks } from '../../src/engine/kernel-memory.ts';
import type { GpuProvider } from '../../src/engine/types.ts';
import { openGpu, type Gpu } from '../../src/gpu/device.ts';
import type { Kernel } from '../../src/gpu/kernel.ts';
import { createBuffers } from '../../src/gpu/buffers.ts';
import { createPipelines } from '../../src/gpu/pipelines.ts';
import { PLAIN } from '../../src/kernels/plain.ts';
import { CHUNK_SAMPLER, NARROW, type KernelSet, type MatmulVariant } from '../../src/kernels/variants.ts';
import { LLAMA } from './adapters.ts';
import { logGpu } from './device-log.ts';
import { openDirectModel, promptChunk } from './direct-model.ts';
import { failsWith, same } from './engine-bench.ts';
import { folder } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

const BEFORE = { attention: [{ window: 'no', cap: 'no' }], norms: 'before' } as const;
const AROUND = {
  attention: [
    { window: 'no', cap: 'yes' },
    { window: 'yes', cap: 'yes' },
  ],
  norms: 'around',
} as const;
const TYPES: CaseTypes = { ...BEFORE, weights: ['f32'], pool: 'f32', group: 2, headDim: 16 };
const HALF: CaseTypes = { ...AROUND, weights: ['f16'], pool: 'f16', group: 3, headDim: 64 };
const EVERY: CaseTypes = { ...BEFORE, weights: ['f32', 'f16', 'bf16', 'q8', 'q4', 'q4_1'], pool: 'f16', group: 4, headDim: 32 };

const family = (name: Family['name'], set: KernelSet, more: Partial<KernelSet> = {}): Family => ({ name, set: { ...set, ...more } });
const narrow = (more: Partial<KernelSet> = {}): Family => family('narrow', NARROW, more);
const plain = (more: Partial<KernelSet> = {}): Family => family('plain', PLAIN, more);

/** A kernel with one place of its text written differently. */
function planted<Binding extends string>(kernel: Kernel<Binding>, find: string | RegExp, replace: string): Kernel<Binding> {
  const source = kernel.source.replace(find, replace);
  check(source !== kernel.source, () => `${kernel.label}.wgsl has no ${String(find)}`);
  return { ...kernel, source };
}

/** A family before all others: plain kernels in two matmuls, for few rows and for any, one of them with a bug. */
function preferred(where: 'few' | 'many', find: string | RegExp, replace: string): Family {
  const { kernel, threads } = PLAIN.matmul[0]!.variant;
  const variant = (name: 'few' | 'many'): MatmulVariant => ({
    name,
    kernel: name === where ? planted(kernel, find, replace) : kernel,
    threads,
  });
  const matmul = [
    { mostRows: 4, variant: variant('few') },
    { mostRows: Infinity, variant: variant('many') },
  ];
  return family('wide', PLAIN, { matmul });
}

const shrinkWith = (set: KernelSet, find: string | RegExp, replace: string): Partial<KernelSet> => ({
  shrink: { ...set.shrink, kernel: planted(set.shrink.kernel, find, replace) },
});

async function onGpu<T>(provider: GpuProvider, work: (gpu: Gpu) => Promise<T>): Promise<T> {
  const gpu = await openGpu(provider);
  try {
    return await work(gpu);
  } finally {
    gpu.device.destroy();
  }
}

async function choose(provider: GpuProvider, families: readonly Family[], store?: Store): Promise<KernelChoice> {
  return onGpu(provider, (gpu) => chooseAmong(gpu, 'auto', families, TYPES, store));
}

/** Each family alone beside the plain loops: a check ends with the first that can serve. */
async function checkSets(provider: GpuProvider, types: CaseTypes, wish: 'narrow' | 'wide'): Promise<void> {
  await onGpu(provider, async (gpu) => {
    const precision = types.pool === 'f32' ? 'exact' : 'half';
    const pipelines = createPipelines(gpu.device, createBuffers(gpu.device));
    const cases = [...kernelCases(types, 'full'), samplerCase()];
    for (const deterministic of wish === 'wide' ? [false, true] : [false]) {
      const [asked] = await familiesOf(gpu, wish, { precision, deterministic });
      const started = performance.now();
      const verdicts = await checkFamilies(gpu, pipelines, [asked!, plain()], cases);
      same(
        verdicts.filter((verdict) => verdict.wrong !== undefined),
        [],
        `what is wrong, deterministic: ${deterministic}`,
      );
      const before = performance.now();
      await checkFamilies(gpu, pipelines, [asked!, plain()], cases);
      const [first, again] = [before - started, performance.now() - before].map((ms) => ms.toFixed(0));
      console.log(
        `${wish} ${precision}: ${verdicts.length} variants on ${cases.length} cases in ${first} ms; once pipelines exist ${again} ms`,
      );
    }
  });
}

/** Matmuls that are wrong, and why they are said to be. */
const BUGS: readonly (readonly [what: string, find: string | RegExp, replace: string, why: RegExp])[] = [
  ['drops the last eight of K', 'k < WIDTH8; k++', 'k < WIDTH8 - 1u; k++', /y in row 0, column 8 is .*expected/],
  ['writes NaN', 'y[at] = sum;', 'y[at] = sum + bitcast<f32>(0x7fc00000u + row - row);', /is NaN; expected/],
  ['does not compile', 'fn main(', 'fn main(nonsense', /does not compile/],
  ['writes behind its rows', /if \(row >= select.*\n/, '', /y in row 1, column 8 is NaN; expected/],
];

async function checkBug(environment: Environment, [, find, replace, why]: (typeof BUGS)[number]): Promise<void> {
  const { kernels, report } = await choose(environment.gpu, [preferred('many', find, replace), narrow(), plain()]);
  const [only, ...others] = report.quarantined;
  same([only?.family, only?.kernel, only?.variant, others], ['wide', 'matmul', 'many', []], 'who is quarantined');
  check(why.test(only!.why), () => `it says: ${only!.why}`);
  const names = NARROW.matmul.map(({ variant }) => variant.name);
  same(
    kernels.matmul.map(({ variant }) => variant.name),
    names,
    'who multiplies',
  );
  same([report.serving.shrink, report.serving.norm], [['plain'], ['wide row']], 'others');
  await checkModel(environment, kernels);
}

/** A sampler that does not look at the last chunk makes room for the narrow one. */
async function checkSamplerBug({ gpu }: Environment): Promise<void> {
  const { merge } = CHUNK_SAMPLER;
  const kernel = planted(merge.kernel, 'chunk < CHUNKS', 'chunk < CHUNKS - 1u');
  const sampler = { ...CHUNK_SAMPLER, name: 'wide', merge: { ...merge, kernel } };
  const { kernels, report } = await choose(gpu, [family('wide', PLAIN, { sampler }), narrow(), plain()]);
  const [only, ...others] = report.quarantined;
  same([only?.family, only?.kernel, only?.variant, others], ['wide', 'sampler', 'wide', []], 'who is quarantined');
  check(/ids in row \d is \d+; expected \d+/.test(only!.why), () => `it says: ${only!.why}`);
  same(report.serving.sampler, ['narrow chunks'], 'who samples');
  check(kernels.sampler === CHUNK_SAMPLER, () => 'another sampler serves');
}

/** The model computes with these kernels what it computes with sound ones. */
async function checkModel(environment: Environment, kernels: KernelSet): Promise<void> {
  const base = await folder(environment, `${LLAMA}/base`);
  const adapter = await folder(environment, `${LLAMA}/adapters/r8-all`);
  const prompt = Array.from({ length: 9 }, (_, i) => (i * 37 + 11) % 500);
  const logits: Float32Array[] = [];
  for (const set of [NARROW, kernels]) {
    await using direct = await openDirectModel(environment.gpu, base, { precision: 'exact', sequences: 2, batchRows: 16, kernels: set });
    const part = await direct.place(adapter);
    direct.open(0, 16);
    direct.open(1, 16);
    const [under, alone] = await direct.model.submit([promptChunk(0, prompt, 0, 9, part), promptChunk(1, prompt, 0, 1, undefined)]);
    logits.push(Float32Array.from([...under!.logits, ...alone!.logits].flatMap((row) => [...row])));
  }
  const [sound, found] = logits as [Float32Array, Float32Array];
  const largest = sound.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const off = sound.findIndex((value, i) => !(Math.abs(value - found[i]!) <= 1e-4 * largest));
  check(off < 0, () => `logit ${off} is ${found[off]}, expected ${sound[off]}`);
}

async function checkTakeover({ gpu }: Environment): Promise<void> {
  const { kernels, report } = await choose(gpu, [preferred('few', 'var sum = 0.0;', 'var sum = 0.5;'), plain()]);
  same(report.serving.matmul, ['wide many'], 'who multiplies');
  same(
    kernels.matmul.map(({ mostRows, variant }) => [mostRows, variant.name]),
    [[Infinity, 'many']],
    'the set',
  );
}

async function checkPlain({ gpu }: Environment): Promise<void> {
  const bug = shrinkWith(PLAIN, 'var sum = 0.0;', 'var sum = 1.0;');
  const { report } = await choose(gpu, [narrow(), plain(bug)]);
  same(
    report.quarantined.map(({ family: name, kernel }) => [name, kernel]),
    [['plain', 'shrink']],
    'who is quarantined',
  );
  same(report.serving.shrink, ['narrow', 'narrow-one'], 'who serves, held to the loop on the CPU');
  const store = memoryStore();
  for (const time of ['the first time', 'the second time']) {
    const log = logGpu(gpu);
    await failsWith(
      choose(log, [family('wide', PLAIN, bug), plain(bug)], store),
      'shader_invalid',
      'computes shrink wrongly',
      'wide plain',
      'plain plain',
    );
    same([log.submits.length > 0, await store.keys('')], [true, []], `looked at, and not remembered, ${time}`);
  }
}

async function checkMemory({ gpu }: Environment): Promise<void> {
  forgetChecks();
  const store = memoryStore();
  const families = [narrow(), plain()];
  const checks = async (given: readonly Family[], kept: Store | undefined): Promise<readonly [string, number]> => {
    const log = logGpu(gpu);
    const { report } = await choose(log, given, kept);
    return [report.check, log.submits.length];
  };
  same(await checks(families, store), ['made', 1], 'the first check');
  same(await store.keys(''), [CHECKS_RECORD], 'what the store has');
  same(await checks(families, undefined), ['remembered', 0], 'the second in this process');
  forgetChecks();
  same(await checks(families, store), ['remembered', 0], 'in another process with the same store');
  // a comment is another text, too
  const changed = [narrow(), plain(shrinkWith(PLAIN, 'var sum = 0.0;', 'var sum = 0.0; /* other */'))];
  same(await checks(changed, store), ['made', 1], 'other shaders');
  forgetChecks();
  same(await checks(changed, store), ['remembered', 0], 'those again');
  same(await checks(families, store), ['remembered', 0], 'the former, which stay');
  forgetChecks();
  const other = async (): Promise<string> =>
    onGpu(gpu, async (real) => {
      const renamed = { ...real, info: { ...real.info, architecture: 'other' } };
      return (await chooseAmong(renamed, 'auto', families, TYPES, store)).report.check;
    });
  same([await other(), await other()], ['made', 'remembered'], 'another device');
}

async function checkBadMemory({ gpu }: Environment): Promise<void> {
  const families = [narrow(), plain()];
  const texts = ['', '{', '[]', '{"version":1,"checks":[null,3,{"device":1}]}', '{"version":2,"checks":[]}'];
  for (const text of texts) {
    forgetChecks();
    const store = memoryStore();
    await store.put([[CHECKS_RECORD, new TextEncoder().encode(text)]]);
    same((await choose(gpu, families, store)).report.check, 'made', `a record of ${JSON.stringify(text)}`);
    forgetChecks();
    same((await choose(gpu, families, store)).report.check, 'remembered', 'and after it');
  }
  forgetChecks();
  const refuse = (): Promise<never> => Promise.reject(new Error('no'));
  const store: Store = { ...memoryStore(), get: refuse, put: refuse };
  same((await choose(gpu, families, store)).report.check, 'made', 'a store that refuses');
}

async function checkEngine({ createEngine, folder: find }: Environment): Promise<void> {
  const model = (await find(`${LLAMA}/base`))!;
  for (const kernels of ['auto', 'narrow', 'plain'] as const) {
    await using engine = await createEngine({ model, kernels, limits: { batchRows: 32 }, memory: { pool: 1 << 20 } });
    const { kernels: stats } = await engine.stats();
    same([stats.wish, stats.quarantined], [kernels, []], 'what was asked for');
    const wrong = Object.values(stats.serving)
      .flat()
      .filter((name) => kernels !== 'auto' && !name.startsWith(kernels));
    same(wrong, [], `kernels of other families under ${kernels}`);
    check(Object.values(stats.compileMs).every((ms) => ms >= 0) && 'embed' in stats.compileMs, () => 'no compile times');
    const { tokens } = await engine.generate([3, 14, 15, 92, 65], { maxTokens: 4, logprobs: 0 }).result();
    same(tokens.length, 4, 'tokens');
  }
}

/** What serves a device, and what is made of kernels that compute something else there. */
export function kernelChoiceCases(environment: Environment): Case[] {
  const on = (run: (environment: Environment) => Promise<void>) => () => run(environment);
  return [
    { name: 'plain and narrow kernels compute what loops on the CPU do, exact', run: () => checkSets(environment.gpu, TYPES, 'narrow') },
    { name: 'plain and narrow kernels compute it in half', run: () => checkSets(environment.gpu, HALF, 'narrow') },
    { name: 'plain and narrow kernels compute it for every type of weights', run: () => checkSets(environment.gpu, EVERY, 'narrow') },
    ...BUGS.map((bug) => ({
      name: `a matmul that ${bug[0]} is quarantined, and the model answers right`,
      run: () => checkBug(environment, bug),
    })),
    { name: 'a sampler that is wrong is quarantined, and the narrow one serves', run: on(checkSamplerBug) },
    { name: 'a variant takes over from another of its family', run: on(checkTakeover) },
    { name: 'a plain loop that is wrong is noticed, and where nothing is right the device is refused', run: on(checkPlain) },
    { name: 'a check is remembered by device and shaders, in the process and in the store', run: on(checkMemory) },
    { name: 'a memory that is broken costs a check', run: on(checkBadMemory) },
    { name: 'an engine takes the family that it is told to, and says so', on: 'engine', run: on(checkEngine) },
  ];
}

/** Those of GPUs: barriers take software devices seconds. */
export function wideChoiceCases({ gpu }: Pick<Environment, 'gpu'>): Case[] {
  return [
    { name: 'wide kernels compute what the plain ones do, exact', takes: 'minutes', run: () => checkSets(gpu, TYPES, 'wide') },
    { name: 'wide kernels compute it in half', takes: 'minutes', run: () => checkSets(gpu, HALF, 'wide') },
  ];
}
