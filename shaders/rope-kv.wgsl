// Rotates q in place, rotates k, and writes k and v into the sequence's pages.      qkv: (rows, [q heads | k heads | v heads], D)
// One thread per row, kv head with the query heads that share it, and 8 numbers of a head: what it reads of the row and of the table
// serves all of these. Pair d of the first ROTARY8 * 8 numbers turns (d, d + ROTARY8 * 4) as Llama's rotate_half does (Su et al.,
// "RoFormer", 2021); those behind stay. With BIAS, `bias` ([q heads | k heads | v heads], D) is added first: after what adapters changed.
// An inert row writes nothing: its page may be somebody else's by now.
// rope: (positions, [cos | sin], ROTARY8 * 4)   pool page: (K | V, kv heads, 16 tokens, D)   blocks: (block rows, PAGES_PER_ROW)
// From outside: HEADS, KV_HEADS, DIM4, ROTARY8, QKV_STRIDE4, PAGES_PER_ROW, BIAS; lib/step, lib/state, lib/grid, lib/pool-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> rope: array<vec4f>;
@group(0) @binding(2) var<storage, read> blocks: array<u32>;
@group(0) @binding(3) var<storage, read> state: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> qkv: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> pool: array<PoolQuad>;

const PAGE_TOKENS = 16u;

fn biased(row: u32, i: u32) -> vec4f {
  if (BIAS) { return qkv[row + i] + bias[i]; }
  return qkv[row + i];
}

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
  // threads behind those that turn have two quads of what stays
  let turns = ROTARY8 == HALF4 || d < ROTARY8;
  let lo_at = select(2u * d, d, turns);
  let hi_at = select(2u * d + 1u, d + ROTARY8, turns);
  var c = vec4f(1.0);
  var s = vec4f();
  if (turns) {
    c = rope[row.position * ROTARY8 * 2u + d];
    s = rope[row.position * ROTARY8 * 2u + ROTARY8 + d];
  }
  let first = index * QKV_STRIDE4;
  let q = kv_head * GROUP * DIM4;
  var at = q;
  loop {
    let lo = biased(first, at + lo_at);
    let hi = biased(first, at + hi_at);
    qkv[first + at + lo_at] = lo * c - hi * s;
    qkv[first + at + hi_at] = hi * c + lo * s;
    continuing { at += DIM4; break if at >= q + GROUP * DIM4; }   // see lora-shrink
  }
  let k = (HEADS + kv_head) * DIM4;
  let v = k + KV_HEADS * DIM4;
  let page = blocks[row.block_row * PAGES_PER_ROW + row.position / PAGE_TOKENS];
  let k_slot = ((page * 2u * KV_HEADS + kv_head) * PAGE_TOKENS + row.position % PAGE_TOKENS) * DIM4;
  let v_slot = k_slot + KV_HEADS * PAGE_TOKENS * DIM4;
  let lo = biased(first, k + lo_at);
  let hi = biased(first, k + hi_at);
  pool[k_slot + lo_at] = pack_quad(lo * c - hi * s);
  pool[k_slot + hi_at] = pack_quad(hi * c + lo * s);
  pool[v_slot + d] = pack_quad(biased(first, v + d));
  pool[v_slot + d + HALF4] = pack_quad(biased(first, v + d + HALF4));
}
