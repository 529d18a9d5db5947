// out[row, head] = softmax(q · K / sqrt(D)) · V over the row's own positions 0..position      out: (rows, OUT_STRIDE4 * 4)
// One thread per row and kv head, which takes the query heads that share it two at a time: both use every load of K and V. Keys go
// in tiles of 64 at fixed positions, each with its own maximum, merged by one function in order of position (Dao et al.,
// "FlashAttention", 2022): so a row's result depends on nothing but its keys, in prefill and decode alike. K and V are read from
// pages (Kwon et al., "PagedAttention", 2023), this row's own included.
// Keys past the row's own are masked, and read as its own: what a page holds there may be anything.
// A score that is no number, found on its exponent bits, makes the row none: a weight of exp(-infinity) would hide it.
// An inert row attends to nothing: its output is zero.
// From outside: KV_HEADS, GROUP, DIM4, QKV_STRIDE4, OUT_STRIDE4, PAGES_PER_ROW, SCALE; lib/step, lib/state, lib/grid, lib/pool-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(4) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;

const PAGE_TOKENS = 16u;
const TILE = 64u;
const TILE4 = TILE / 4u;
const LEAST = -3.0e38;   // a finite minimum: WGSL may assume that infinities do not occur
const EXPONENT = 0x7f800000u;
const NOT_A_NUMBER = 0x7fc00000u;
const VALUES = KV_HEADS * PAGE_TOKENS * DIM4;   // from a key's K to its V

var<private> scores: array<vec4f, 2u * TILE4>;
var<private> merged: array<vec4f, 2u * DIM4>;
var<private> merged_max: array<f32, 2>;
var<private> merged_sum: array<f32, 2>;
var<private> is_spoiled: bool;   // a score was no number

// Pool index of the first K of the page that a key lies in.
fn page_at(block_row: u32, kv_head: u32, key: u32) -> u32 {
  let page = blocks[block_row * PAGES_PER_ROW + key / PAGE_TOKENS];
  return (page * 2u * KV_HEADS + kv_head) * PAGE_TOKENS * DIM4;
}

fn k_at(at: u32) -> vec4f { return unpack_quad(pool[at]); }

fn masked(sum: vec4f, key: u32, last: u32) -> vec4f {
  if (any((bitcast<vec4u>(sum) & vec4u(EXPONENT)) == vec4u(EXPONENT))) { is_spoiled = true; }
  return select(vec4f(LEAST), sum * SCALE, vec4u(key, key + 1u, key + 2u, key + 3u) <= vec4u(last));
}

// Scores of 8 keys of one page, the first of which is not past `last`, for the queries at q0 and q1.
fn score(q0: u32, q1: u32, k: u32, key: u32, last: u32, quad: u32) {
  let rest = last - key;
  let k1 = k + min(1u, rest) * DIM4;
  let k2 = k + min(2u, rest) * DIM4;
  let k3 = k + min(3u, rest) * DIM4;
  let k4 = k + min(4u, rest) * DIM4;
  let k5 = k + min(5u, rest) * DIM4;
  let k6 = k + min(6u, rest) * DIM4;
  let k7 = k + min(7u, rest) * DIM4;
  var a = vec4f();
  var b = vec4f();
  var c = vec4f();
  var d = vec4f();
  for (var i = 0u; i < DIM4; i++) {
    let x = qkv[q0 + i];
    let y = qkv[q1 + i];
    let v0 = k_at(k + i);
    let v1 = k_at(k1 + i);
    let v2 = k_at(k2 + i);
    let v3 = k_at(k3 + i);
    a += vec4f(dot(x, v0), dot(x, v1), dot(x, v2), dot(x, v3));
    b += vec4f(dot(y, v0), dot(y, v1), dot(y, v2), dot(y, v3));
    let v4 = k_at(k4 + i);
    let v5 = k_at(k5 + i);
    let v6 = k_at(k6 + i);
    let v7 = k_at(k7 + i);
    c += vec4f(dot(x, v4), dot(x, v5), dot(x, v6), dot(x, v7));
    d += vec4f(dot(y, v4), dot(y, v5), dot(y, v6), dot(y, v7));
  }
  scores[quad] = masked(a, key, last);
  scores[TILE4 + quad] = masked(b, key, last);
  scores[quad + 1u] = masked(c, key + 4u, last);
  scores[TILE4 + quad + 1u] = masked(d, key + 4u, last);
}

// Turns the tile's scores of head h into weights; merges their sum with what came before; returns the old part's factor and the new one's.
fn weigh(h: u32, quads: u32) -> vec2f {
  let first = h * TILE4;
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

fn weighted(sum: vec4f, w: vec4f, a: vec4f, b: vec4f, c: vec4f, d: vec4f) -> vec4f {
  return fma(vec4f(w.w), d, fma(vec4f(w.z), c, fma(vec4f(w.y), b, fma(vec4f(w.x), a, sum))));
}

// Adds the tile's weighted values, two quads of a head's numbers at a time.
fn add_values(row: Row, kv_head: u32, tile: u32, quads: u32, factors0: vec2f, factors1: vec2f) {
  for (var i = 0u; i < DIM4; i += 2u) {
    var a = vec4f();
    var b = vec4f();
    var c = vec4f();
    var d = vec4f();
    for (var quad = 0u; quad < quads; quad++) {
      let key = tile + 4u * quad;
      let last = min(key, row.position);
      let v0 = page_at(row.block_row, kv_head, last) + VALUES + last % PAGE_TOKENS * DIM4 + i;
      let rest = row.position - last;
      let v1 = v0 + min(1u, rest) * DIM4;
      let v2 = v0 + min(2u, rest) * DIM4;
      let v3 = v0 + min(3u, rest) * DIM4;
      let w0 = scores[quad];
      let w1 = scores[TILE4 + quad];
      let x0 = k_at(v0);
      let x1 = k_at(v1);
      let x2 = k_at(v2);
      let x3 = k_at(v3);
      a = weighted(a, w0, x0, x1, x2, x3);
      b = weighted(b, w1, x0, x1, x2, x3);
      let y0 = k_at(v0 + 1u);
      let y1 = k_at(v1 + 1u);
      let y2 = k_at(v2 + 1u);
      let y3 = k_at(v3 + 1u);
      c = weighted(c, w0, y0, y1, y2, y3);
      d = weighted(d, w1, y0, y1, y2, y3);
    }
    merged[i] = merged[i] * factors0.x + a * factors0.y;
    merged[i + 1u] = merged[i + 1u] * factors0.x + c * factors0.y;
    merged[DIM4 + i] = merged[DIM4 + i] * factors1.x + b * factors1.y;
    merged[DIM4 + i + 1u] = merged[DIM4 + i + 1u] * factors1.x + d * factors1.y;
  }
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
  for (var g = 0u; g < GROUP; g += 2u) {
    // an odd head at the end is computed twice and stored once
    let q0 = index * QKV_STRIDE4 + (kv_head * GROUP + g) * DIM4;
    let q1 = q0 + min(1u, GROUP - 1u - g) * DIM4;
    for (var h = 0u; h < 2u; h++) {
      merged_max[h] = LEAST;
      merged_sum[h] = 0.0;
      for (var d = 0u; d < DIM4; d++) { merged[h * DIM4 + d] = vec4f(); }
    }
    for (var tile = 0u; tile <= row.position; tile += TILE) {
      // in eights: what is past the row's own position has no weight
      let quads = min(TILE, row.position - tile + 8u) / 8u * 2u;
      for (var quad = 0u; quad < quads; quad += 2u) {
        let key = tile + 4u * quad;
        score(q0, q1, page_at(row.block_row, kv_head, key) + key % PAGE_TOKENS * DIM4, key, row.position, quad);
      }
      let factors0 = weigh(0u, quads);
      let factors1 = weigh(1u, quads);
      add_values(row, kv_head, tile, quads, factors0, factors1);
    }
    for (var h = 0u; h < min(2u, GROUP - g); h++) {
      for (var d = 0u; d < DIM4; d++) {
        let value = bitcast<vec4u>(merged[h * DIM4 + d] / merged_sum[h]);
        out[first_out + (g + h) * DIM4 + d] = bitcast<vec4f>(select(value, vec4u(NOT_A_NUMBER), is_spoiled));
      }
    }
  }
}
