// out[row, head] = softmax(q · K / sqrt(D)) · V over the row's own positions 0..position      out: (rows, OUT_STRIDE4 * 4)
// One thread per row and kv head: the GROUP query heads that share it share every load of K and V. Keys go in tiles of 64 at
// fixed positions, each with its own maximum, merged by one function in order of position (Dao et al., "FlashAttention", 2022):
// so a row's result depends on nothing but its keys, in prefill and decode alike. K and V are read from pages
// (Kwon et al., "PagedAttention", 2023), this row's own included.
// An inert row attends to nothing: its output is zero. A score that is no number, or infinite, is found on its exponent bits before
// a maximum may lose it, and makes the output NaN: the sampler then fails this request alone.
// From outside: KV_HEADS, GROUP, DIM4, QKV_STRIDE4, OUT_STRIDE4, PAGES_PER_ROW, SCALE; lib/step, lib/state, lib/grid, lib/pool-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(4) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;

const PAGE_TOKENS = 16u;
const TILE = 64u;
const EXPONENT = 0x7f800000u;
const NOT_A_NUMBER = 0x7fc00000u;
const LEAST = -3.0e38;   // a finite minimum: WGSL may assume that infinities do not occur

var<private> scores: array<vec4f, GROUP * TILE / 4u>;
var<private> merged: array<vec4f, GROUP * DIM4>;
var<private> merged_max: array<f32, GROUP>;
var<private> merged_sum: array<f32, GROUP>;
var<private> is_spoiled: bool;

// Pool index of a key's K; its V lies VALUES further.
fn key_at(block_row: u32, kv_head: u32, key: u32) -> u32 {
  let page = blocks[block_row * PAGES_PER_ROW + key / PAGE_TOKENS];
  return ((page * 2u * KV_HEADS + kv_head) * PAGE_TOKENS + key % PAGE_TOKENS) * DIM4;
}

// Scores of 4 keys of one page for every query head of the group. Keys past `last` are masked, and read as `last`.
fn score(q: u32, k: u32, key: u32, last: u32, quad: u32) {
  let step1 = min(1u, last - key) * DIM4;
  let step2 = min(2u, last - key) * DIM4;
  let step3 = min(3u, last - key) * DIM4;
  for (var g = 0u; g < GROUP; g++) {
    var sum = vec4f();
    for (var d = 0u; d < DIM4; d++) {
      let qs = qkv[q + g * DIM4 + d];
      sum += vec4f(dot(qs, unpack_quad(pool[k + d])), dot(qs, unpack_quad(pool[k + step1 + d])),
        dot(qs, unpack_quad(pool[k + step2 + d])), dot(qs, unpack_quad(pool[k + step3 + d])));
    }
    if (any((bitcast<vec4u>(sum) & vec4u(EXPONENT)) == vec4u(EXPONENT))) { is_spoiled = true; }
    scores[g * TILE / 4u + quad] = select(vec4f(LEAST), sum * SCALE, vec4u(key, key + 1u, key + 2u, key + 3u) <= vec4u(last));
  }
}

// Turns the tile's scores of head g into weights; merges their sum with what came before; returns the old part's factor.
fn weigh(g: u32, quads: u32) -> vec2f {
  let first = g * TILE / 4u;
  var top = vec4f(LEAST);
  for (var i = 0u; i < quads; i++) { top = max(top, scores[first + i]); }
  let tile_max = max(max(top.x, top.y), max(top.z, top.w));
  var sums = vec4f();
  for (var i = 0u; i < quads; i++) {
    let weights = exp(scores[first + i] - vec4f(tile_max));
    scores[first + i] = weights;
    sums += weights;
  }
  let maximum = max(merged_max[g], tile_max);
  let before = exp(merged_max[g] - maximum);
  let here = exp(tile_max - maximum);
  merged_sum[g] = merged_sum[g] * before + (sums.x + sums.y + sums.z + sums.w) * here;
  merged_max[g] = maximum;
  return vec2f(before, here);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let kv_head = i % KV_HEADS;
  let index = i / KV_HEADS;
  if (index >= row_count()) { return; }
  let row = row_at(index);
  let first_out = index * OUT_STRIDE4 + kv_head * GROUP * DIM4;
  if (is_inert(row)) {
    for (var d = 0u; d < GROUP * DIM4; d++) { out[first_out + d] = vec4f(); }
    return;
  }
  let last = row.position;
  let q = index * QKV_STRIDE4 + kv_head * GROUP * DIM4;
  let values = KV_HEADS * PAGE_TOKENS * DIM4;
  for (var g = 0u; g < GROUP; g++) {
    merged_max[g] = LEAST;
    merged_sum[g] = 0.0;
    for (var d = 0u; d < DIM4; d++) { merged[g * DIM4 + d] = vec4f(); }
  }
  for (var tile = 0u; tile <= last; tile += TILE) {
    let quads = min(TILE, last - tile + 4u) / 4u;
    for (var quad = 0u; quad < quads; quad++) {
      let key = tile + 4u * quad;
      score(q, key_at(row.block_row, kv_head, key), key, last, quad);
    }
    for (var g = 0u; g < GROUP; g++) {
      let factors = weigh(g, quads);
      for (var d = 0u; d < DIM4; d++) {
        var sum = vec4f();
        for (var quad = 0u; quad < quads; quad++) {
          let key = tile + 4u * quad;
          let at = key_at(row.block_row, kv_head, key) + values + d;
          let w = scores[g * TILE / 4u + quad];
          sum = fma(vec4f(w.x), unpack_quad(pool[at]), sum);
          if (key + 1u <= last) { sum = fma(vec4f(w.y), unpack_quad(pool[at + DIM4]), sum); }
          if (key + 2u <= last) { sum = fma(vec4f(w.z), unpack_quad(pool[at + 2u * DIM4]), sum); }
          if (key + 3u <= last) { sum = fma(vec4f(w.w), unpack_quad(pool[at + 3u * DIM4]), sum); }
        }
        merged[g * DIM4 + d] = merged[g * DIM4 + d] * factors.x + sum * factors.y;
      }
    }
  }
  for (var g = 0u; g < GROUP; g++) {
    for (var d = 0u; d < DIM4; d++) {
      let value = bitcast<vec4u>(merged[g * DIM4 + d] / merged_sum[g]);
      out[first_out + g * DIM4 + d] = bitcast<vec4f>(select(value, vec4u(NOT_A_NUMBER), is_spoiled));
    }
  }
}
