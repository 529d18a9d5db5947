// What rope-kv does, for heads whose numbers need each other: with NORM, q and k are normed over each head before they turn (Qwen3,
// Gemma 3), and the width that turns, ROTARY, may be any even one.      shapes and names as in rope-kv
// One thread per row and head of q, k or v: a barrier would cost more in software.
// vectors: with BIAS the bias ([q heads | k heads | v heads], D), then with NORM the norms' weights, of q and of k (D each).
// From outside: HEADS, KV_HEADS, DIM4, ROTARY, QKV_STRIDE4, PAGES_PER_ROW, BIAS, NORM, EPSILON; lib/step, lib/state, lib/grid,
// lib/pool-*, lib/head-norms-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> rope: array<f32>;
@group(0) @binding(2) var<storage, read> blocks: array<u32>;
@group(0) @binding(3) var<storage, read> state: array<u32>;
@group(0) @binding(4) var<storage, read> vectors: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> qkv: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> pool: array<PoolQuad>;

const PAGE_TOKENS = 16u;
const PAIRS = ROTARY / 2u;

var<private> values: array<vec4f, DIM4>;

fn number(i: u32) -> f32 { return values[i / 4u][i % 4u]; }

// Number i of the head, turned.
fn turned(i: u32, table: u32) -> f32 {
  if (i >= ROTARY) { return number(i); }
  let pair = i % PAIRS;
  let c = rope[table + pair];
  let s = rope[table + PAIRS + pair];
  return select(number(pair + PAIRS) * c + number(pair) * s, number(pair) * c - number(pair + PAIRS) * s, i < PAIRS);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  const ALL = HEADS + 2u * KV_HEADS;
  let i = thread_index(workgroup, grid, local);
  let head = i % ALL;
  let index = i / ALL;
  if (index >= row_count()) { return; }
  let row = row_at(index);
  if (is_inert(row)) { return; }
  let is_value = head >= HEADS + KV_HEADS;
  let first = index * QKV_STRIDE4 + head * DIM4;
  var squares = 0.0;
  for (var d = 0u; d < DIM4; d++) {
    var value = qkv[first + d];
    if (BIAS) { value += vectors[head * DIM4 + d]; }
    values[d] = value;
    squares += dot(value, value);
  }
  if (NORM && !is_value) {
    let scale = 1.0 / sqrt(squares / f32(DIM4 * 4u) + EPSILON);
    var weights = select(DIM4, 0u, head < HEADS);
    if (BIAS) { weights += ALL * DIM4; }
    let own = head_norm_of(index, head < HEADS);
    for (var d = 0u; d < DIM4; d++) { values[d] *= scale * head_weight_at(own, d, weights); }
  }
  let page = blocks[row.block_row * PAGES_PER_ROW + row.position / PAGE_TOKENS];
  let kv_head = (head - HEADS) % KV_HEADS;   // of no meaning for q
  let k_slot = ((page * 2u * KV_HEADS + kv_head) * PAGE_TOKENS + row.position % PAGE_TOKENS) * DIM4;
  let slot = k_slot + select(0u, KV_HEADS * PAGE_TOKENS * DIM4, is_value);
  let table = row.position * ROTARY;
  for (var d = 0u; d < DIM4; d++) {
    var value = values[d];
    if (!is_value) { value = vec4f(turned(4u * d, table), turned(4u * d + 1u, table), turned(4u * d + 2u, table), turned(4u * d + 3u, table)); }
    if (head < HEADS) { qkv[first + d] = value; } else { pool[slot + d] = pack_quad(value); }
  }
}
