// out[row, head] = softmax(q · K * SCALE) · V over the row's own positions 0..position      shapes and names as in attention
// One workgroup per TILE_ROWS rows, up to HEADS query heads of one kv head, and split of the keys. Rows that follow each other in
// one sequence are attended together: K and V are read once for all queries of the workgroup. Keys go in tiles of 64 at fixed
// positions: one key a thread for the scores, one quad of columns a thread for V, so that a row's result depends on nothing but its
// keys. Dao et al., "FlashAttention", 2022; "Flash-Decoding", 2023; pages: Kwon et al., "PagedAttention", 2023.
// PARTIAL: `out` gets each split's sum, maximum and divisor for wide-attention-merge. Otherwise one split has all keys.
// WINDOW and CAP as in attention; splits count from the one that has the first key of a row's window.
// From outside: KV_HEADS, GROUP, DIM4, QKV_STRIDE4, OUT_STRIDE4, PAGES_PER_ROW, SCALE, CAP, ROWS, PARTIAL, SPLIT_TILES; lib/step,
// lib/state, lib/grid, lib/pool-*, lib/softcap, lib/softmax, lib/window.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(4) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;

const PAGE_TOKENS = 16u;
const TILE = 64u;                                               // keys, and threads
const MOST_QUERIES = 8u * (1u + 16u / max(DIM4, 16u));          // 16, or 8 where heads are wide: what fits into 16 KiB
const HEADS = min(GROUP, MOST_QUERIES);
const HEAD_TILES = (GROUP + HEADS - 1u) / HEADS;
const TILE_ROWS = min(ROWS, MOST_QUERIES / HEADS);
const QUERIES = TILE_ROWS * HEADS;
const PIECES = 4u;                                              // threads that look at the scores of one query
const STRIDE = TILE + PIECES;                                   // of a query's scores, so that these threads meet different banks
const LANES = WORKGROUP_SIZE / DIM4;                            // threads that share a quad of V's columns
const OWN = (QUERIES + LANES - 1u) / LANES;                     // queries of each of them
const_assert WORKGROUP_SIZE == TILE && DIM4 <= WORKGROUP_SIZE && QUERIES * PIECES <= TILE && OWN <= 8u;

var<workgroup> queries: array<vec4f, QUERIES * DIM4>;
var<workgroup> lasts: array<u32, QUERIES>;                      // each query's own position
var<workgroup> places: array<u32, TILE>;                        // where each key of the tile lies in the pool
var<workgroup> scores: array<f32, QUERIES * STRIDE>;            // and then their weights
var<workgroup> maxima: array<f32, QUERIES * PIECES>;
var<workgroup> sums: array<f32, QUERIES * PIECES>;

// What this thread has merged of its queries: numbers `lane`, `lane + LANES`, ...
struct Merged { maximum: f32, sum: f32, value: vec4f }
var<private> merged: array<Merged, OWN>;

// Rows next to each other in the batch: `count` consecutive positions of one sequence.
struct Run { row: u32, count: u32, block_row: u32, position: u32 }

fn run_at(index: u32, end: u32) -> Run {
  let first = row_at(index);
  var count = 1u;
  while (index + count < end && !is_inert(first)) {
    let next = row_at(index + count);
    if (next.block_row != first.block_row || next.position != first.position + count || is_inert(next)) { break; }
    count++;
  }
  return Run(index, count, first.block_row, first.position);
}

fn head_of(query: u32, first_head: u32) -> u32 { return first_head + query % HEADS; }

// Queries of the run into workgroup memory; zeros where it has fewer than the workgroup could take.
fn load_queries(local: u32, run: Run, first_head: u32, end_head: u32) {
  for (var i = local; i < QUERIES * DIM4; i += WORKGROUP_SIZE) {
    let query = i / DIM4;
    let head = head_of(query, first_head);
    var value = vec4f();
    if (query / HEADS < run.count && head < end_head) { value = qkv[(run.row + query / HEADS) * QKV_STRIDE4 + head * DIM4 + i % DIM4]; }
    queries[i] = value;
  }
  if (local < QUERIES) { lasts[local] = run.position + min(local / HEADS, run.count - 1u); }
  for (var j = 0u; j < OWN; j++) { merged[j] = Merged(LEAST, 0.0, vec4f()); }
}

// What up to 16 queries make of a key, four by four. No array: with an index of a loop one lies in memory on many devices.
struct Sixteen { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

// Quad d of a query; past the last one, of that again.
fn quad_of(query: u32, d: u32) -> vec4f { return queries[min(query, QUERIES - 1u) * DIM4 + d]; }

fn dots(query: u32, d: u32, k: vec4f) -> vec4f {
  return vec4f(dot(quad_of(query, d), k), dot(quad_of(query + 1u, d), k), dot(quad_of(query + 2u, d), k), dot(quad_of(query + 3u, d), k));
}

// A score into workgroup memory. Keys past the query's own position are masked.
fn put_score(query: u32, local: u32, position: u32, found: f32) {
  if (query >= QUERIES) { return; }
  var value = found * SCALE;
  if (CAP > 0.0) { value = softcapped(vec4f(value), CAP).x; }
  scores[query * STRIDE + local] = select(LEAST, checked(value), position <= lasts[query] && position >= first_key(lasts[query]));
}

fn put_four(query: u32, local: u32, position: u32, found: vec4f) {
  put_score(query, local, position, found.x);
  put_score(query + 1u, local, position, found.y);
  put_score(query + 2u, local, position, found.z);
  put_score(query + 3u, local, position, found.w);
}

// The scores of this thread's key for every query.
fn score(local: u32, run: Run, kv_head: u32, position: u32) {
  // what lies behind is nobody's, as what lies before every window: it is masked for all
  let key = max(min(position, run.position + run.count - 1u), first_key(run.position));
  let page = blocks[run.block_row * PAGES_PER_ROW + key / PAGE_TOKENS];
  let at = ((page * 2u * KV_HEADS + kv_head) * PAGE_TOKENS + key % PAGE_TOKENS) * DIM4;
  places[local] = at;
  var found = Sixteen();
  for (var d = 0u; d < DIM4; d++) {
    let k = unpack_quad(pool[at + d]);
    found.a += dots(0u, d, k);
    if (QUERIES > 4u) { found.b += dots(4u, d, k); }
    if (QUERIES > 8u) { found.c += dots(8u, d, k); }
    if (QUERIES > 12u) { found.d += dots(12u, d, k); }
  }
  put_four(0u, local, position, found.a);
  if (QUERIES > 4u) { put_four(4u, local, position, found.b); }
  if (QUERIES > 8u) { put_four(8u, local, position, found.c); }
  if (QUERIES > 12u) { put_four(12u, local, position, found.d); }
}

fn tile_maximum(query: u32) -> f32 {
  let at = query * PIECES;
  return max(max(maxima[at], maxima[at + 1u]), max(maxima[at + 2u], maxima[at + 3u]));
}

// A piece of a query's scores are those of every PIECES-th key: its maximum, and then its weights and their sum.
fn find_maximum(piece: u32) {
  let first = piece / PIECES * STRIDE + piece % PIECES;
  var top = LEAST;
  for (var key = 0u; key < TILE; key += PIECES) { top = max(top, scores[first + key]); }
  maxima[piece] = top;
}

fn weigh(piece: u32) {
  let first = piece / PIECES * STRIDE + piece % PIECES;
  let top = tile_maximum(piece / PIECES);
  var sum = 0.0;
  for (var key = 0u; key < TILE; key += PIECES) {
    let weight = exp(scores[first + key] - top);
    scores[first + key] = weight;
    sum += weight;
  }
  sums[piece] = sum;
}

// Query j of those of this thread; past the last one, that again.
fn own_query(lane: u32, j: u32) -> u32 { return min(lane + j * LANES, QUERIES - 1u); }

fn value_at(key: u32, d: u32) -> vec4f { return unpack_quad(pool[places[key] + KV_HEADS * PAGE_TOKENS * DIM4 + d]); }

fn weighted(lane: u32, j: u32, key: u32, value: vec4f, sum: vec4f) -> vec4f {
  return fma(vec4f(scores[own_query(lane, j) * STRIDE + key]), value, sum);
}

// Merges what a tile comes to for query j of this thread with what came before.
fn merge(lane: u32, j: u32, tile: u32, found: vec4f) {
  let query = own_query(lane, j);
  if (tile > lasts[query] || tile + TILE <= first_key(lasts[query])) { return; }
  let m = merge_of(merged[j].maximum, tile_maximum(query));
  let at = query * PIECES;
  let sum = sums[at] + sums[at + 1u] + sums[at + 2u] + sums[at + 3u];
  merged[j] = Merged(m.maximum, merged[j].sum * m.before + sum * m.now, merged[j].value * m.before + found * m.now);
}

// What the keys come to that a query sees. The others weigh nothing: but what is no number is none times nothing, too.
fn seen_values(d: u32, query: u32, tile: u32, keys: u32) -> vec4f {
  var sum = vec4f();
  for (var key = 0u; key < keys; key++) {
    if (tile + key > lasts[query] || tile + key < first_key(lasts[query])) { continue; }
    sum = fma(vec4f(scores[query * STRIDE + key]), value_at(key, d), sum);
  }
  return sum;
}

fn has_none(v: vec4f) -> bool { return any((bitcast<vec4u>(v) & vec4u(EXPONENT)) == vec4u(EXPONENT)); }

// Adds this tile's V, weighted, to what this thread has merged of its queries.
fn add_values(d: u32, lane: u32, tile: u32, keys: u32) {
  var f0 = vec4f();
  var f1 = vec4f();
  var f2 = vec4f();
  var f3 = vec4f();
  var f4 = vec4f();
  var f5 = vec4f();
  var f6 = vec4f();
  var f7 = vec4f();
  for (var key = 0u; key < keys; key++) {
    let value = value_at(key, d);
    f0 = weighted(lane, 0u, key, value, f0);
    if (OWN > 1u) { f1 = weighted(lane, 1u, key, value, f1); }
    if (OWN > 2u) { f2 = weighted(lane, 2u, key, value, f2); }
    if (OWN > 3u) { f3 = weighted(lane, 3u, key, value, f3); }
    if (OWN > 4u) { f4 = weighted(lane, 4u, key, value, f4); }
    if (OWN > 5u) { f5 = weighted(lane, 5u, key, value, f5); }
    if (OWN > 6u) { f6 = weighted(lane, 6u, key, value, f6); }
    if (OWN > 7u) { f7 = weighted(lane, 7u, key, value, f7); }
  }
  if (TILE_ROWS > 1u && has_none(f0 + f1 + f2 + f3 + f4 + f5 + f6 + f7)) {
    for (var j = 0u; j < OWN; j++) { merge(lane, j, tile, seen_values(d, own_query(lane, j), tile, keys)); }
  } else {
    merge(lane, 0u, tile, f0);
    if (OWN > 1u) { merge(lane, 1u, tile, f1); }
    if (OWN > 2u) { merge(lane, 2u, tile, f2); }
    if (OWN > 3u) { merge(lane, 3u, tile, f3); }
    if (OWN > 4u) { merge(lane, 4u, tile, f4); }
    if (OWN > 5u) { merge(lane, 5u, tile, f5); }
    if (OWN > 6u) { merge(lane, 6u, tile, f6); }
    if (OWN > 7u) { merge(lane, 7u, tile, f7); }
  }
}

// Writes what this thread has merged; zeros for an inert row.
fn store(d: u32, lane: u32, run: Run, first_head: u32, end_head: u32, split: u32) {
  for (var j = 0u; j < OWN; j++) {
    let query = lane + j * LANES;
    let head = head_of(query, first_head);
    if (query / HEADS >= run.count || head >= end_head) { continue; }
    let row = run.row + query / HEADS;
    if (PARTIAL) {
      let at = ((split * row_count() + row) * KV_HEADS * GROUP + head) * (DIM4 + 1u);
      out[at + d] = merged[j].value;
      if (d == 0u) { out[at + DIM4] = vec4f(merged[j].maximum, merged[j].sum, 0.0, 0.0); }
    } else if (is_inert(row_at(row))) {
      out[row * OUT_STRIDE4 + head * DIM4 + d] = vec4f();
    } else {
      out[row * OUT_STRIDE4 + head * DIM4 + d] = quotient(merged[j].value, merged[j].sum, merged[j].maximum);
    }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = workgroup_index(workgroup, grid);
  let tiles = (row_count() + TILE_ROWS - 1u) / TILE_ROWS;
  let kv_head = i % KV_HEADS;
  let first_head = kv_head * GROUP + i / KV_HEADS % HEAD_TILES * HEADS;
  let end_head = (kv_head + 1u) * GROUP;
  let row0 = i / KV_HEADS / HEAD_TILES % tiles * TILE_ROWS;
  let split = i / KV_HEADS / HEAD_TILES / tiles;
  if (!PARTIAL && split > 0u) { return; }
  let end = min(row0 + TILE_ROWS, row_count());
  let d = local % DIM4;
  let lane = local / DIM4;
  for (var row = row0; row < end;) {
    let run = run_at(row, end);
    row += run.count;
    let last = run.position + run.count - 1u;
    let seen = first_key(run.position);
    let begin = (seen / (SPLIT_TILES * TILE) + split) * SPLIT_TILES * TILE;
    var end_key = min(last + 1u, begin + SPLIT_TILES * TILE);
    if (is_inert(row_at(run.row))) { end_key = 0u; }
    if (PARTIAL && begin >= end_key) { continue; }
    load_queries(local, run, first_head, end_head);
    workgroupBarrier();
    for (var tile = max(begin, seen / TILE * TILE); tile < end_key; tile += TILE) {
      let keys = min(TILE, last + 1u - tile);
      score(local, run, kv_head, tile + local);
      workgroupBarrier();
      if (local < QUERIES * PIECES) { find_maximum(local); }
      workgroupBarrier();
      if (local < QUERIES * PIECES) { weigh(local); }
      workgroupBarrier();
      if (lane < LANES) { add_values(d, lane, tile, keys); }
      workgroupBarrier();   // the next tile takes the same memory
    }
    if (lane < LANES) { store(d, lane, run, first_head, end_head, split); }
  }
}
