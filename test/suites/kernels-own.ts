import { embedThreads } from '../../src/kernels/embed.ts';
import { embedPair, embedPairThreads } from '../../src/kernels/embed-pair.ts';
import { COMMON, DESCRIPTORS, POOL, STATE, WEIGHTS, type PoolType } from '../../src/kernels/libraries.ts';
import { setAside, setAsideThreads } from '../../src/kernels/set-aside.ts';
import { wholeEmbed } from '../../src/kernels/whole-embed.ts';
import { wholeHead, wholeHeadThreads, wholeHeadTogether } from '../../src/kernels/whole-head.ts';
import { embed as embedTwin } from '../reference/embed.ts';
import { embedPair as embedPairTwin } from '../reference/embed-pair.ts';
import type { LoraSegment } from '../reference/lora.ts';
import { setAside as setAsideTwin } from '../reference/set-aside.ts';
import { wholeHead as wholeHeadTwin } from '../reference/whole-head.ts';
import { bits, checkClose, poison, rounded, uniform } from './kernel-harness.ts';
import type { Harness, Words } from './kernel-harness.ts';
import { matrix, padded, planeOf } from './kernel-planes.ts';
import { testPool } from './kernel-pool.ts';
import { floatBits, plainRows, STEP, stepWords, type StepRow } from './kernel-step.ts';
import type { Case } from './suite.ts';

const doubles = (words: Words): Float64Array => Float64Array.from(new Float32Array(words.buffer, words.byteOffset, words.length));

/** No multiple of 4, in two buffers. */
const VOCABULARY = 37;
const CHUNKS = [
  { first: 0, count: 20 },
  { first: 20, count: 17 },
];
/** The slot whose matrix it is, and another. */
const OWN = 2;
const OTHER = 1;

/** Token and done of each state slot. */
const STATES = Uint32Array.of(5, 1, 36, 0, 20, 1, 19, 0);
type Token = NonNullable<StepRow['token']>;
const TOKENS: readonly Token[] = [3, 19, 20, { slot: 1 }, 36, 0, { slot: 3 }, 4_000_000, { slot: 2 }];
const tokenOf = (token: Token): number => (typeof token === 'number' ? token : STATES[2 * token.slot]!);

async function checkWholeEmbed(harness: Harness, type: 'f32' | 'f16' | 'bf16', width: number): Promise<void> {
  const stride = padded(width);
  const adapters = TOKENS.map((_, row) => [OWN, 0, OWN, OWN, OWN, OTHER, 0, OWN, OTHER][row]!);
  const step = stepWords({ rows: TOKENS.map((token, row) => ({ token, adapter: adapters[row]! })) });
  for (const { first, count } of CHUNKS) {
    const { words, values } = planeOf(type, count, width, 1, width + first);
    const x = bits(uniform(first)((TOKENS.length + 2) * stride, 1)); // what the base left
    const after = await harness.run({
      kernel: wholeEmbed,
      constants: { ...STEP, VOCABULARY, FIRST: first, COUNT: count, WIDTH8: stride / 8, SCALE: { f32: 7.5 } },
      libraries: [...COMMON, STATE, WEIGHTS[type]],
      buffers: { step, own: Uint32Array.of(OWN), weights: words, state: STATES, x },
      threads: embedThreads(TOKENS.length, stride / 8),
    });
    const tokens = TOKENS.map((token, row) => (adapters[row] === OWN ? tokenOf(token) : -1));
    const expected = doubles(x);
    embedTwin({ tokens, vocabulary: VOCABULARY, weights: values, first, count, width: stride, scale: 7.5 }, expected);
    const what = `whole-embed ${type}, width ${width}, tokens from ${first}`;
    checkClose({ what, type: 'F32', before: x, after: after.x, expected, rowLength: stride, tolerance: 1e-6 });
  }
}

const only = (slot: number) => [{ slot, scale: 1 }];
const segment = (rowStart: number, rowCount: number, parts: LoraSegment['parts']): LoraSegment => ({ rowStart, rowCount, vRow: 0, parts });

/** Of the own adapter, of others, blends that have it, and rows of nobody. */
const HEADS: readonly LoraSegment[] = [
  segment(1, 4, only(OWN)),
  segment(5, 1, only(OWN)),
  segment(6, 2, only(OTHER)),
  segment(8, 2, only(OWN)),
  segment(10, 3, only(OWN)),
  segment(13, 1, [...only(OWN), ...only(OTHER)]),
];

async function checkWholeHead(harness: Harness, type: 'f32' | 'f16' | 'bf16', width: number, together: 'yes' | 'no'): Promise<void> {
  const stride = padded(width);
  const rows = 15;
  for (const [outAt, out] of [
    [0, 20],
    [20, 17],
  ] as const) {
    const out4 = Math.ceil(out / 4);
    const yStride = 40;
    const { words, values } = planeOf(type, out, width, 1 / Math.sqrt(width), width + out);
    const x = bits(matrix(rows, width, 1, 5));
    const y = bits(uniform(out)((rows + 1) * yStride, 1)); // what the base left
    const after = await harness.run({
      kernel: together === 'yes' ? wholeHeadTogether : wholeHead,
      constants: { ...STEP, WIDTH8: stride / 8, OUT4: out4, OUT_AT4: outAt / 4, Y_STRIDE4: yStride / 4 },
      libraries: [...COMMON, WEIGHTS[type]],
      buffers: { step: stepWords({ rows: plainRows(rows), segments: HEADS }), own: Uint32Array.of(OWN), weights: words, x, y },
      threads: wholeHeadThreads(HEADS.length, out4, together),
    });
    const expected = doubles(y);
    const shape = { own: OWN, stride, out: out4 * 4, outAt, yStride };
    wholeHeadTwin({ segments: HEADS, x: doubles(x), weights: values, ...shape }, expected);
    const what = `whole-head ${type}, together ${together}, ${width} to ${out} from ${outAt}`;
    checkClose({ what, type: 'F32', before: y, after: after.y, expected, rowLength: yStride, tolerance: 1e-5 });
  }
}

const SITES_IN_MODEL = 3;
const SITE = 1;

/** Adapters by slot; the pairs lie in a pool that is poison elsewhere, and so are the descriptors. */
function placePairs(type: PoolType, width: number) {
  const random = uniform(width);
  const pool = testPool(type);
  const descriptors = poison(5 * SITES_IN_MODEL * 8, 'input');
  const dtype = type === 'f32' ? 'F32' : 'F16';
  const adapters = [0, 4, 12, 0, 8].map((rank, slot) => {
    const at = (slot * SITES_IN_MODEL + SITE) * 8;
    descriptors.fill(0, at, at + 8);
    if (rank === 0) return undefined;
    const a = rounded(random(VOCABULARY * rank, 1), dtype);
    const b = rounded(random(rank * width, 1), dtype);
    const scale = Math.fround(0.5 + slot);
    descriptors.set([pool.numbers(a), pool.numbers(b), rank, floatBits(scale), 0, width, 0, 0], at);
    return { rank, scale, a, b };
  });
  return { adapters, descriptors, pool: pool.words() };
}

async function checkEmbedPair(harness: Harness, type: PoolType, width: number): Promise<void> {
  const stride = padded(width);
  const { adapters, descriptors, pool } = placePairs(type, width);
  const blend = [
    { slot: 4, scale: 0.5 },
    { slot: 0, scale: 1 },
    { slot: 2, scale: -2 },
  ];
  const segments = [segment(1, 4, only(2)), segment(5, 1, only(3)), segment(6, 1, only(1)), segment(7, 2, blend)];
  const x = bits(uniform(6)((TOKENS.length + 2) * stride, 1));
  const after = await harness.run({
    kernel: embedPair,
    constants: {
      ...{ ...STEP, SITES_IN_MODEL, SITE, VOCABULARY },
      ...{ OUT4: width / 4, STRIDE4: stride / 4, SCALE: { f32: 2.5 } },
    },
    libraries: [...COMMON, STATE, POOL[type], DESCRIPTORS],
    buffers: { step: stepWords({ rows: TOKENS.map((token) => ({ token })), segments }), descriptors, pool, state: STATES, x },
    threads: embedPairThreads(segments.length, width / 4),
  });
  const expected = doubles(x);
  const tokens = TOKENS.map(tokenOf);
  embedPairTwin({ segments, adapters, tokens, vocabulary: VOCABULARY, width, stride, scale: 2.5 }, expected);
  const what = `embed-pair ${type}, width ${width}`;
  checkClose({ what, type: 'F32', before: x, after: after.x, expected, rowLength: stride, tolerance: 1e-5 });
}

/** Slot 1 multiplies what the site makes, slot 2 does not. */
async function checkSetAside(harness: Harness, way: 'away' | 'back'): Promise<void> {
  const [rows, width, stride, gainAt] = [11, 36, 40, 14];
  const descriptors = poison(3 * SITES_IN_MODEL * 8, 'input');
  for (const [slot, gain] of [0, 77, 0].entries()) descriptors[slot * SITES_IN_MODEL * 8 + gainAt] = gain;
  const segments = [segment(1, 3, only(1)), segment(4, 2, only(2)), segment(6, 4, only(1)), segment(10, 1, [...only(1), ...only(2)])];
  const adapters = [0, 1, 1, 1, 2, 2, 1, 1, 1, 1, 0];
  const y = bits(uniform(7)((rows + 1) * stride, 1));
  const kept = way === 'back' ? bits(uniform(8)((rows + 1) * stride, 1)) : poison((rows + 1) * stride, 'output');
  const after = await harness.run({
    kernel: setAside,
    constants: { ...STEP, GAIN_AT: gainAt, SITES_IN_MODEL, OUT4: width / 4, Y_STRIDE4: stride / 4, BACK: way === 'back' },
    libraries: COMMON,
    buffers: { step: stepWords({ rows: adapters.map((adapter) => ({ adapter })), segments }), descriptors, y, kept },
    threads: setAsideThreads(segments.length, width / 4),
  });
  const [expectedY, expectedKept] = [doubles(y), doubles(kept)];
  setAsideTwin({ rows: [1, 2, 3, 6, 7, 8, 9], width, stride, way }, expectedY, expectedKept);
  const shared = { type: 'F32', rowLength: stride, tolerance: 1e-6 } as const;
  checkClose({ ...shared, what: `set-aside ${way}, y`, before: y, after: after.y, expected: expectedY });
  checkClose({ ...shared, what: `set-aside ${way}, kept`, before: kept, after: after.kept, expected: expectedKept });
}

/** whole-head whose threads sum together. */
export function wholeHeadCases(harness: () => Promise<Harness>, together: 'yes' | 'no'): Case[] {
  return [
    ['f32', 36],
    ['f16', 1100],
  ].map(([type, width]) => ({
    name: `whole-head ${type}, together ${together}, width ${width}`,
    run: async () => checkWholeHead(await harness(), type as 'f32' | 'f16', width as number, together),
  }));
}

/** What steps run for adapters that do more than add low-rank pairs in the layers: whole-embed, whole-head, embed-pair, set-aside. */
export function ownCases(harness: () => Promise<Harness>): Case[] {
  const cases: Case[] = [...wholeHeadCases(harness, 'no')];
  const add = (name: string, run: (device: Harness) => Promise<void>): void => {
    cases.push({ name, run: async () => run(await harness()) });
  };
  add('whole-embed f32, width 36', (device) => checkWholeEmbed(device, 'f32', 36));
  add('whole-embed bf16, width 100', (device) => checkWholeEmbed(device, 'bf16', 100));
  for (const type of ['f32', 'f16'] as const) add(`embed-pair ${type}`, (device) => checkEmbedPair(device, type, 36));
  for (const way of ['away', 'back'] as const) add(`set-aside ${way}`, (device) => checkSetAside(device, way));
  return cases;
}
