import { afterAll, beforeAll, expect, test } from 'vitest';
import { attemptsOf, ceilingBytes } from '../../src/engine/profile-ceilings.ts';
import { entriesOf, TRAITS } from '../../src/adapters/sites.ts';
import { createBuffers, type Buffers } from '../../src/gpu/buffers.ts';
import { openGpu, type Gpu } from '../../src/gpu/device.ts';
import { createPipelines, type Pipelines } from '../../src/gpu/pipelines.ts';
import { createPoolMemory } from '../../src/gpu/pool-memory.ts';
import { record } from '../../src/gpu/recorder.ts';
import { WEIGHTS, type PoolType, type WeightType } from '../../src/kernels/libraries.ts';
import { stepLayout } from '../../src/kernels/step-layout.ts';
import { PLAIN } from '../../src/kernels/plain.ts';
import { NARROW, NARROW_QUADS, type KernelSet } from '../../src/kernels/variants.ts';
import { wideKernels } from '../../src/kernels/wide.ts';
import { createActivations } from '../../src/model/activations.ts';
import type { ModelConfig } from '../../src/model/config.ts';
import { buildForward } from '../../src/model/forward.ts';
import { createGains } from '../../src/model/gains.ts';
import type { Plan } from '../../src/model/plan.ts';
import { modelShape, padded, type ModelShape } from '../../src/model/shape.ts';
import type { Plane } from '../../src/model/planes.ts';
import type { ModelWeights } from '../../src/model/weights.ts';
import { createWholeMatrices } from '../../src/model/whole.ts';
import { llamaConfig, ropeFrequencies } from '../suites/llama-config.ts';
import { describeNull } from '../device.ts';
import { KERNELS } from './wgsl.ts';

const LIMITS = { rows: 8, logitRows: 8, samplers: 4 };

const SIZES = {
  vocabSize: 301,
  hiddenSize: 36,
  intermediateSize: 100,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 24,
  normEpsilon: 1e-5,
  contextLength: 200, // keys of several tiles
};

const CONFIG = llamaConfig(SIZES);

/** Odd widths; SmolLM2-135M's; Llama 3.2 1B's, with several splits of K. */
const CONFIGS: readonly { readonly name: string; readonly config: ModelConfig }[] = [
  { name: 'odd widths', config: CONFIG },
  {
    name: 'heads of 64',
    config: llamaConfig({ ...SIZES, hiddenSize: 576, intermediateSize: 1536, heads: 9, kvHeads: 3, headDim: 64, layers: 1 }),
  },
  {
    name: 'several splits',
    config: llamaConfig({ ...SIZES, hiddenSize: 2048, intermediateSize: 8192, heads: 32, kvHeads: 8, headDim: 64, layers: 1 }),
  },
  { name: 'one kv head', config: llamaConfig({ ...SIZES, heads: 8, kvHeads: 1, headDim: 8, layers: 1, normEpsilon: 1e-6 }) },
];

/** What adapters may do beyond adding low-rank pairs. */
const ALL_TRAITS = Object.values(TRAITS).reduce((all, bit) => all | bit, 0);

const BIASES = { qkv: true, o: true, mlp: true };
const rope = (dimensions: number) => ({ dimensions, frequencies: ropeFrequencies(10_000, dimensions), factor: 1 });

/** All that families may have besides; it does not depend on how weights are stored. */
const FAMILIES: typeof CONFIGS = [
  {
    name: 'windows, caps, norms around and of heads, biases, two ropes',
    config: llamaConfig({
      ...{ ...SIZES, norms: 'around', normOffset: 1, queryKeyNorm: 'each head', biases: BIASES, activation: 'gelu-tanh' },
      ...{ embeddingScale: 6, attentionScale: 0.25, attentionCap: 50, logitCap: 30, ropes: [rope(24), rope(12)] },
      layerKinds: [
        { window: 70, rope: 0 },
        { window: Infinity, rope: 1 },
      ],
    }),
  },
  { name: 'biases, two thirds of a head turned', config: llamaConfig({ ...SIZES, layers: 1, biases: BIASES, ropes: [rope(16)] }) },
];

const CHOICES = ['yes', 'no'] as const;

/** Every set of kernels with every combination of what a device may have and an engine may ask for. */
const SETS: readonly { readonly set: string; readonly kernels: KernelSet }[] = [
  { set: 'narrow', kernels: NARROW },
  { set: 'narrow, quads', kernels: NARROW_QUADS },
  { set: 'plain', kernels: PLAIN },
  ...CHOICES.flatMap((subgroups) =>
    CHOICES.flatMap((f16) =>
      CHOICES.map((deterministic) => ({
        set: `wide, subgroups ${subgroups}, f16 ${f16}, deterministic ${deterministic}`,
        kernels: wideKernels({ subgroups, f16 }, { precision: 'half', deterministic }),
      })),
    ),
  ),
];

/** Planes without numbers, the embedding in two chunks. */
function emptyWeights(buffers: Buffers, config: ModelConfig, { groups }: ModelShape, type: WeightType): ModelWeights {
  const buffer = buffers.storage('empty', 256);
  const plane = (rows: number, width: number): Plane => ({ rows, width, chunks: [{ type, buffer, firstRow: 0, rows }] });
  const chunks = [
    { type, buffer, firstRow: 0, rows: 200 },
    { type, buffer, firstRow: 200, rows: config.vocabSize - 200 },
  ];
  const embedding = { ...plane(config.vocabSize, config.hiddenSize), chunks };
  const layer = {
    inputNorm: buffer,
    headVectors: config.biases.qkv || config.queryKeyNorm !== 'no' ? buffer : undefined,
    oBias: config.biases.o ? buffer : undefined,
    attentionNorm: config.norms === 'around' ? buffer : undefined,
    postNorm: buffer,
    gateUpBias: config.biases.mlp ? buffer : undefined,
    downBias: config.biases.mlp ? buffer : undefined,
    feedForwardNorm: config.norms === 'around' ? buffer : undefined,
    qkv: plane(groups.qkv.outWidth, groups.qkv.inWidth),
    o: plane(groups.o.outWidth, groups.o.inWidth),
    gateUp: plane(groups.gateUp.outWidth, groups.gateUp.inWidth),
    down: plane(groups.down.outWidth, groups.down.inWidth),
  };
  return { embedding, head: embedding, finalNorm: buffer, layers: Array.from({ length: config.layers }, () => layer) };
}

/** Steps' worth of numbers: few rows take matmul-row, more take matmul-tile; samplers with options have kernels of their own. */
function planOf(rows: number, options: number, traits = 0): Plan {
  const nothing = { words: new Uint32Array(0), logitRowOf: [], samplerOf: [], readRows: 0, vRows: rows };
  return {
    ...nothing,
    rows,
    sequences: rows,
    keys: 200,
    segments: 1,
    segmentRows: rows,
    rankQuads: 2,
    traits,
    logitSegments: traits ? rows : 0,
    wholes: [],
    logitRows: rows,
    samplers: 1,
    adjusting: options,
    filtering: options,
    topK: options,
    topP: options,
  };
}

await describeNull('the forward pass', (provider) => {
  let gpu: Gpu;
  let pipelines: Pipelines;
  const compiled = new Set<string>();

  beforeAll(async () => {
    gpu = await openGpu(provider);
    const made = createPipelines(gpu.device, createBuffers(gpu.device));
    const get: Pipelines['get'] = (kernel, specialisation) => {
      compiled.add(kernel.label);
      return made.get(kernel, specialisation);
    };
    pipelines = { ...made, get };
  });
  afterAll(() => gpu.device.destroy());

  const every = Object.keys(WEIGHTS) as WeightType[];
  const usual: readonly WeightType[] = ['f32', 'f16', 'bf16', 'q8', 'q4', 'q4_1'];
  const blocks = every.filter((type) => !usual.includes(type));
  const cases = (configs: typeof CONFIGS, types: readonly WeightType[], poolType: PoolType, sets = SETS) =>
    configs.flatMap((each) => types.flatMap((type) => sets.map((chosen) => ({ ...each, ...chosen, type, poolType }))));
  // Weights and the pool meet in one kernel alone, which is the same in all sets.
  const all = [
    ...cases(CONFIGS, usual, 'f32'),
    ...cases(CONFIGS.slice(0, 1), blocks, 'f32'),
    ...cases(CONFIGS, ['f16'], 'f16'),
    ...cases(CONFIGS.slice(0, 1), every, 'f16', SETS.slice(0, 1)),
    ...cases(FAMILIES, ['f16'], 'f32'),
    ...cases(FAMILIES, ['f16'], 'f16'),
  ];

  test.each(all)('compiles and binds: $set, $name, weights $type, pool $poolType', async ({ config, type, poolType, kernels }) => {
    const { device } = gpu;
    const buffers = createBuffers(device);
    const shape = modelShape(config);
    const layout = stepLayout(LIMITS);
    const entries = entriesOf(shape.table);
    device.pushErrorScope('validation');
    const pool = createPoolMemory(device, buffers, { layers: config.layers, pages: 2, pageBytes: 256, slots: 3, entries });
    await pool.reserveOuter();
    const weights = emptyWeights(buffers, config, shape, type);
    await createGains({ device, buffers, pipelines, shape, weights, pool, poolType, software: true });
    const activations = createActivations(device, buffers, config, shape, layout, config.contextLength);
    const wholes = await createWholeMatrices({ device, buffers, pipelines, config, layout, activations, kernels }, 3);
    const launches = await buildForward({
      pipelines,
      config,
      shape,
      layout,
      weights,
      activations,
      pool,
      poolType,
      kernels,
      traits: ALL_TRAITS,
      wholes,
      v: buffers.storage('v', LIMITS.rows * padded(config.hiddenSize) * 4),
      adjust: buffers.storage('adjust', 256),
    });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const plan of [planOf(1, 0), planOf(3, 0), planOf(8, 1), planOf(8, 0, ALL_TRAITS)]) {
      for (const launch of launches) record(pass, launch.dispatch(plan), launch.threads(plan));
    }
    pass.end();
    encoder.finish();
    expect((await device.popErrorScope())?.message).toBeUndefined();
    expect(gpu.failure()).toBeUndefined();
    buffers.destroy();
  });

  const isCeiling = (name: string): boolean => name.startsWith('ceiling-');

  test('uses every kernel there is, but those that ceilings are measured with', () => {
    expect([...compiled].sort()).toEqual([...KERNELS.keys()].filter((name) => !isCeiling(name)).sort());
  });

  const attempts = [true, false].flatMap((software) =>
    attemptsOf(software, [ceilingBytes(software, 1).source]).map((attempt) => ({ software, ...attempt })),
  );

  test.each(attempts)('ceilings compile: $kind, $label, software $software', async ({ kernel, constants }) => {
    await pipelines.get(kernel, { constants, libraries: [] });
    expect(gpu.failure()).toBeUndefined();
  });

  test('every ceiling is tried', () => {
    const tried = new Set(attempts.map(({ kernel }) => kernel.label));
    expect([...tried].sort()).toEqual([...KERNELS.keys()].filter(isCeiling).sort());
  });
});
