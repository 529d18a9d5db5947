// What rope-kv-heads does to heads whose numbers need each other.      shapes and names as in rope-kv, vectors as in rope-kv-heads
// One workgroup per row and head of q, k or v. Its threads have quads of the head, which lie in workgroup memory for the others to see;
// what these come to for the norm every thread adds up for itself, in the same order.
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

var<workgroup> values: array<f32, 4u * DIM4>;
var<workgroup> squares: array<f32, WORKGROUP_SIZE>;   // of each thread's quads

fn keep(d: u32, value: vec4f) {
  values[4u * d] = value.x;
  values[4u * d + 1u] = value.y;
  values[4u * d + 2u] = value.z;
  values[4u * d + 3u] = value.w;
}

fn kept(d: u32) -> vec4f { return vec4f(values[4u * d], values[4u * d + 1u], values[4u * d + 2u], values[4u * d + 3u]); }

// Number i of the head, turned.
fn turned(i: u32, table: u32) -> f32 {
  if (i >= ROTARY) { return values[i]; }
  let pair = i % PAIRS;
  let c = rope[table + pair];
  let s = rope[table + PAIRS + pair];
  return select(values[pair + PAIRS] * c + values[pair] * s, values[pair] * c - values[pair + PAIRS] * s, i < PAIRS);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  const ALL = HEADS + 2u * KV_HEADS;
  let i = workgroup_index(workgroup, grid);
  let head = i % ALL;
  let index = i / ALL;
  if (index >= row_count()) { return; }
  let row = row_at(index);
  if (is_inert(row)) { return; }
  let is_value = head >= HEADS + KV_HEADS;
  let first = index * QKV_STRIDE4 + head * DIM4;
  var own_squares = 0.0;
  for (var d = local; d < DIM4; d += WORKGROUP_SIZE) {
    var value = qkv[first + d];
    if (BIAS) { value += vectors[head * DIM4 + d]; }
    keep(d, value);
    own_squares += dot(value, value);
  }
  squares[local] = own_squares;
  workgroupBarrier();
  if (NORM) {
    if (!is_value) {
      var sum = 0.0;
      for (var thread = 0u; thread < min(WORKGROUP_SIZE, DIM4); thread++) { sum += squares[thread]; }
      let scale = 1.0 / sqrt(sum / f32(DIM4 * 4u) + EPSILON);
      var weights = select(DIM4, 0u, head < HEADS);
      if (BIAS) { weights += ALL * DIM4; }
      let own = head_norm_of(index, head < HEADS);
      for (var d = local; d < DIM4; d += WORKGROUP_SIZE) { keep(d, kept(d) * scale * head_weight_at(own, d, weights)); }
    }
    workgroupBarrier();
  }
  let page = blocks[row.block_row * PAGES_PER_ROW + row.position / PAGE_TOKENS];
  let kv_head = (head - HEADS) % KV_HEADS;   // of no meaning for q
  let k_slot = ((page * 2u * KV_HEADS + kv_head) * PAGE_TOKENS + row.position % PAGE_TOKENS) * DIM4;
  let slot = k_slot + select(0u, KV_HEADS * PAGE_TOKENS * DIM4, is_value);
  let table = row.position * ROTARY;
  for (var d = local; d < DIM4; d += WORKGROUP_SIZE) {
    var value = kept(d);
    if (!is_value) { value = vec4f(turned(4u * d, table), turned(4u * d + 1u, table), turned(4u * d + 2u, table), turned(4u * d + 3u, table)); }
    if (head < HEADS) { qkv[first + d] = value; } else { pool[slot + d] = pack_quad(value); }
  }
}
