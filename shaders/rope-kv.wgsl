// Rotates q in place, rotates k, and writes k and v into the sequence's pages.      qkv: (rows, [q heads | k heads | v heads], D)
// One thread per row, kv head with the query heads that share it, and 4 pairs: what it reads of the row and of the table serves all of
// these. Pair d turns (d, d + D/2) as Llama's rotate_half does (Su et al., "RoFormer", 2021).
// An inert row writes nothing: its page may be somebody else's by now.
// rope: (positions, [cos | sin], D/2)   pool page: (K | V, kv heads, 16 tokens, D)   blocks: (block rows, PAGES_PER_ROW)
// From outside: HEADS, KV_HEADS, DIM4, QKV_STRIDE4, PAGES_PER_ROW; lib/step, lib/state, lib/grid, lib/pool-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> rope: array<vec4f>;
@group(0) @binding(2) var<storage, read> blocks: array<u32>;
@group(0) @binding(3) var<storage, read> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> qkv: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> pool: array<PoolQuad>;

const PAGE_TOKENS = 16u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  const HALF4 = DIM4 / 2u;
  const GROUP = HEADS / KV_HEADS;
  let i = thread_index(workgroup, grid, local);
  let d = i % HALF4;
  let kv_head = i / HALF4 % KV_HEADS;
  let index = i / HALF4 / KV_HEADS;
  if (index >= row_count()) { return; }
  let row = row_at(index);
  if (is_inert(row)) { return; }
  let turn = row.position * DIM4 + d;
  let c = rope[turn];
  let s = rope[turn + HALF4];
  let first = index * QKV_STRIDE4 + d;
  let q = first + kv_head * GROUP * DIM4;
  for (var at = q; at < q + GROUP * DIM4; at += DIM4) {
    let lo = qkv[at];
    let hi = qkv[at + HALF4];
    qkv[at] = lo * c - hi * s;
    qkv[at + HALF4] = hi * c + lo * s;
  }
  let k = first + (HEADS + kv_head) * DIM4;
  let v = k + KV_HEADS * DIM4;
  let page = blocks[row.block_row * PAGES_PER_ROW + row.position / PAGE_TOKENS];
  let k_slot = ((page * 2u * KV_HEADS + kv_head) * PAGE_TOKENS + row.position % PAGE_TOKENS) * DIM4 + d;
  let v_slot = k_slot + KV_HEADS * PAGE_TOKENS * DIM4;
  let lo = qkv[k];
  let hi = qkv[k + HALF4];
  pool[k_slot] = pack_quad(lo * c - hi * s);
  pool[k_slot + HALF4] = pack_quad(hi * c + lo * s);
  pool[v_slot] = pack_quad(qkv[v]);
  pool[v_slot + HALF4] = pack_quad(qkv[v + HALF4]);
}
