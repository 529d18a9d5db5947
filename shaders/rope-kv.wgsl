// Rotates q in place, rotates k, and writes k and v into the sequence's pages.      qkv: (rows, [q heads | k heads | v heads], D)
// One thread per row, head and 4 pairs; pair d turns (d, d + D/2) as Llama's rotate_half does (Su et al., "RoFormer", 2021).
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
  let half4 = DIM4 / 2u;
  let all_heads = HEADS + 2u * KV_HEADS;
  let i = thread_index(workgroup, grid, local);
  let d = i % half4;
  let head = i / half4 % all_heads;
  let index = i / half4 / all_heads;
  if (index >= row_count()) { return; }
  let row = row_at(index);
  if (is_inert(row)) { return; }
  let at = index * QKV_STRIDE4 + head * DIM4 + d;
  var lo = qkv[at];
  var hi = qkv[at + half4];
  if (head < HEADS + KV_HEADS) {
    let turn = row.position * DIM4 + d;
    let c = rope[turn];
    let s = rope[turn + half4];
    let turned = lo * c - hi * s;
    hi = hi * c + lo * s;
    lo = turned;
  }
  if (head < HEADS) {
    qkv[at] = lo;
    qkv[at + half4] = hi;
    return;
  }
  let page = blocks[row.block_row * PAGES_PER_ROW + row.position / PAGE_TOKENS];
  let plane = page * 2u * KV_HEADS + (head - HEADS);
  let slot = (plane * PAGE_TOKENS + row.position % PAGE_TOKENS) * DIM4 + d;
  pool[slot] = pack_quad(lo);
  pool[slot + half4] = pack_quad(hi);
}
