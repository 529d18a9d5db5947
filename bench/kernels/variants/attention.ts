import { defineKernel } from '../../../src/gpu/kernel.ts';
import { ATTENTION_CONSTANTS, attention, attentionRowsQuads } from '../../../src/kernels/attention.ts';
import type { AttentionVariant } from '../../../src/kernels/variants.ts';

export interface AttentionForm {
  /** Query heads that share a load of K and V. */
  readonly heads: number;
  /** Keys of one round of scores: 4 or 8. */
  readonly keys: number;
  /** Quads of values of one round of sums. */
  readonly dims: number;
  readonly workgroup: number;
  /** A thread for each kv head, or for each `heads` query heads. */
  readonly thread: 'kv head' | 'heads';
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const lines = (count: number, line: (i: number) => string): string => range(count).map(line).join('\n');

export interface AttentionTile {
  /** Queries of a thread at most, and rows that they may be of. */
  readonly most: number;
  readonly rows: number;
  readonly share: 'alone' | 'quads';
}

/** The shipped kernel with another tile. */
export function attentionTile({ most, rows, share }: AttentionTile): AttentionVariant {
  const name = `${most} queries, ${rows === 1 ? 'of one row' : `of ${rows} rows`}, ${share === 'alone' ? 'own loads' : 'loads of quads'}`;
  const kernel = share === 'alone' ? attention : attentionRowsQuads;
  const lanes = share === 'alone' ? 1 : 4;
  return {
    name,
    kernel: { ...kernel, label: `attention ${name}`, ownConstants: { MOST: most, ROWS: rows } },
    threads: (work) => Math.ceil(work.rows / rows) * work.kvHeads * Math.ceil((rows * work.group) / (most * lanes)) * lanes,
  };
}

/** One row a thread, and the scores of a tile of 64 keys in private memory. */
export function attentionForm(form: AttentionForm): AttentionVariant {
  const { heads, keys, dims, workgroup, thread } = form;
  const name = [`${heads} heads, ${keys} keys, ${dims * 4} values`, `workgroups of ${workgroup}`, `thread a ${thread}`].join(', ');
  return {
    name,
    kernel: defineKernel({
      label: `attention ${name}`,
      source: sourceOf(form),
      buffers: attention.buffers,
      constants: ATTENTION_CONSTANTS,
      workgroupSize: workgroup,
    }),
    threads: ({ rows, kvHeads, group }) => rows * kvHeads * (thread === 'kv head' ? 1 : Math.ceil(group / heads)),
  };
}

/** Dot products of the keys of one round with every head's query. */
function scores({ heads, keys }: AttentionForm): string {
  return `
fn score(q: u32, first: u32, k: u32, key: u32, last: u32, quad: u32) {
${lines(keys, (j) => `  let k${j} = k + min(${j}u, last - key) * DIM4;`)}
${lines(heads, (h) => `  let q${h} = q + min(first + ${h}u, GROUP - 1u) * DIM4;`)}
${lines(heads, (h) => lines(keys / 4, (j) => `  var s${h}_${j} = vec4f();`))}
  for (var d = 0u; d < DIM4; d++) {
${lines(keys, (j) => `    let v${j} = unpack_quad(pool[k${j} + d]);`)}
${lines(
  heads,
  (h) => `    let qs${h} = qkv[q${h} + d];
${lines(
  keys / 4,
  (j) =>
    `    s${h}_${j} += vec4f(${range(4)
      .map((i) => `dot(qs${h}, v${4 * j + i})`)
      .join(', ')});`,
)}`,
)}
  }
${lines(keys / 4, (j) => `  let keys${j} = vec4u(key + ${4 * j}u) + vec4u(0u, 1u, 2u, 3u);`)}
${lines(heads, (h) => lines(keys / 4, (j) => `  scores[${h}u * TILE / 4u + quad + ${j}u] = select(vec4f(LEAST), s${h}_${j} * SCALE, keys${j} <= vec4u(last));`))}
}`;
}

function sourceOf(form: AttentionForm): string {
  const { heads, keys, dims, thread } = form;
  return `@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(4) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;
const PAGE_TOKENS = 16u;
const TILE = 64u;
const LEAST = -3.0e38;
const HEADS = ${heads}u;
const VALUES = KV_HEADS * PAGE_TOKENS * DIM4;
var<private> scores: array<vec4f, HEADS * TILE / 4u>;
var<private> merged: array<vec4f, HEADS * DIM4>;
var<private> merged_max: array<f32, HEADS>;
var<private> merged_sum: array<f32, HEADS>;
fn page_at(block_row: u32, kv_head: u32, key: u32) -> u32 {
  let page = blocks[block_row * PAGES_PER_ROW + key / PAGE_TOKENS];
  return (page * 2u * KV_HEADS + kv_head) * PAGE_TOKENS * DIM4;
}
${scores(form)}
fn weigh(h: u32, quads: u32) -> vec2f {
  let first = h * TILE / 4u;
  var top = vec4f(LEAST);
  for (var i = 0u; i < quads; i++) { top = max(top, scores[first + i]); }
  let tile_max = max(max(top.x, top.y), max(top.z, top.w));
  var sums = vec4f();
  for (var i = 0u; i < quads; i++) {
    let weights = exp(scores[first + i] - vec4f(tile_max));
    scores[first + i] = weights;
    sums += weights;
  }
  let maximum = max(merged_max[h], tile_max);
  let before = exp(merged_max[h] - maximum);
  let here = exp(tile_max - maximum);
  merged_sum[h] = merged_sum[h] * before + (sums.x + sums.y + sums.z + sums.w) * here;
  merged_max[h] = maximum;
  return vec2f(before, here);
}
fn attend(q: u32, first: u32, block_row: u32, kv_head: u32, last: u32, first_out: u32) {
  for (var h = 0u; h < HEADS; h++) {
    merged_max[h] = LEAST;
    merged_sum[h] = 0.0;
    for (var d = 0u; d < DIM4; d++) { merged[h * DIM4 + d] = vec4f(); }
  }
  for (var tile = 0u; tile <= last; tile += TILE) {
    let quads = (min(TILE, last - tile + 1u) + ${keys - 1}u) / ${keys}u * ${keys / 4}u;
    for (var quad = 0u; quad < quads; quad += ${keys / 4}u) {
      let key = tile + 4u * quad;
      score(q, first, page_at(block_row, kv_head, key) + key % PAGE_TOKENS * DIM4, key, last, quad);
    }
${lines(heads, (h) => `    let factors${h} = weigh(${h}u, quads);`)}
    for (var d = 0u; d < DIM4; d += ${dims}u) {
${lines(heads, (h) => lines(dims, (e) => `      var sum${h}_${e} = vec4f();`))}
      for (var page = 0u; page * 4u < quads; page++) {
        let base = page_at(block_row, kv_head, tile + page * PAGE_TOKENS) + VALUES + d;
        for (var quad = page * 4u; quad < min(page * 4u + 4u, quads); quad++) {
          let key = tile + 4u * quad;
${lines(heads, (h) => `          let w${h} = scores[${h}u * TILE / 4u + quad];`)}
${lines(4, (j) => `          let at${j} = base + min(key % PAGE_TOKENS + ${j}u, select(PAGE_TOKENS - 1u, last % PAGE_TOKENS, last / PAGE_TOKENS == key / PAGE_TOKENS)) * DIM4;`)}
${lines(dims, (e) =>
  lines(
    4,
    (j) => `          let v${e}_${j} = unpack_quad(pool[at${j} + ${e}u]);
${lines(heads, (h) => `          sum${h}_${e} = fma(vec4f(w${h}.${'xyzw'[j]}), v${e}_${j}, sum${h}_${e});`)}`,
  ),
)}
        }
      }
${lines(heads, (h) => lines(dims, (e) => `      merged[${h}u * DIM4 + d + ${e}u] = merged[${h}u * DIM4 + d + ${e}u] * factors${h}.x + sum${h}_${e} * factors${h}.y;`))}
    }
  }
  for (var h = 0u; h < HEADS && first + h < GROUP; h++) {
    for (var d = 0u; d < DIM4; d++) { out[first_out + (first + h) * DIM4 + d] = merged[h * DIM4 + d] / merged_sum[h]; }
  }
}
@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  const PARTS = ${thread === 'kv head' ? '1u' : '(GROUP + HEADS - 1u) / HEADS'};
  let i = thread_index(workgroup, grid, local);
  let kv_head = i / PARTS % KV_HEADS;
  let index = i / PARTS / KV_HEADS;
  if (index >= row_count()) { return; }
  let row = row_at(index);
  let first_out = index * OUT_STRIDE4 + kv_head * GROUP * DIM4;
  let q = index * QKV_STRIDE4 + kv_head * GROUP * DIM4;
${
  thread === 'kv head'
    ? '  for (var first = 0u; first < GROUP; first += HEADS) { one(row, kv_head, first, q, first_out); }'
    : '  one(row, kv_head, i % PARTS * HEADS, q, first_out);'
}
}
fn one(row: Row, kv_head: u32, first: u32, q: u32, first_out: u32) {
  if (is_inert(row)) {
    for (var h = 0u; h < HEADS && first + h < GROUP; h++) {
      for (var d = 0u; d < DIM4; d++) { out[first_out + (first + h) * DIM4 + d] = vec4f(); }
    }
    return;
  }
  attend(q, first, row.block_row, kv_head, row.position, first_out);
}
`;
}
