// out[row, head] = softmax(q · K * SCALE) · V over the row's own positions 0..position      shapes and names as in attention
// The plain loop: one thread per row and kv head, which takes the query heads of its group one after another; each looks at all
// keys twice, for the largest score and for the sum. See plain-matmul. An inert row's output is zero.
// From outside: KV_HEADS, GROUP, DIM4, QKV_STRIDE4, OUT_STRIDE4, PAGES_PER_ROW, SCALE, CAP; lib/step, lib/state, lib/grid, lib/softcap, lib/window,
// lib/pool-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(4) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;

const PAGE_TOKENS = 16u;

// Pool index of a key's K; its V lies a page's half further.
fn key_at(block_row: u32, kv_head: u32, key: u32) -> u32 {
  let page = blocks[block_row * PAGES_PER_ROW + key / PAGE_TOKENS];
  return ((page * 2u * KV_HEADS + kv_head) * PAGE_TOKENS + key % PAGE_TOKENS) * DIM4;
}

fn score(q: u32, k: u32) -> f32 {
  var sum = 0.0;
  for (var d = 0u; d < DIM4; d++) { sum += dot(qkv[q + d], unpack_quad(pool[k + d])); }
  if (CAP > 0.0) { return softcapped(vec4f(sum * SCALE), CAP).x; }
  return sum * SCALE;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let kv_head = i % KV_HEADS;
  let index = i / KV_HEADS;
  if (index >= row_count()) { return; }
  let row = row_at(index);
  for (var head = kv_head * GROUP; head < (kv_head + 1u) * GROUP; head++) {
    let first_out = index * OUT_STRIDE4 + head * DIM4;
    for (var d = 0u; d < DIM4; d++) { out[first_out + d] = vec4f(); }
    if (is_inert(row)) { continue; }
    let q = index * QKV_STRIDE4 + head * DIM4;
    let first = first_key(row.position);
    var top = score(q, key_at(row.block_row, kv_head, first));
    for (var key = first + 1u; key <= row.position; key++) { top = max(top, score(q, key_at(row.block_row, kv_head, key))); }
    var total = 0.0;
    for (var key = first; key <= row.position; key++) {
      let k = key_at(row.block_row, kv_head, key);
      let weight = exp(score(q, k) - top);
      total += weight;
      for (var d = 0u; d < DIM4; d++) { out[first_out + d] += weight * unpack_quad(pool[k + KV_HEADS * PAGE_TOKENS * DIM4 + d]); }
    }
    for (var d = 0u; d < DIM4; d++) { out[first_out + d] /= total; }
  }
}
