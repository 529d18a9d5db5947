// out[row, head] = softmax(q · K * SCALE) · V over the row's own positions 0..position      out: (rows, OUT_STRIDE4 * 4)
// A query is one head of one row. A thread takes up to MOST queries of a kv head, which all use every load of K and V: heads of one row
// (ROWS 1, for decode), or of up to ROWS rows next to each other, as far as these are one sequence (for prefill). Keys go page by page of
// 16, whose weights stay in registers, and a page is merged into what came before by one function in order of position (Dao et al.,
// "FlashAttention", 2022): so a row's result depends on nothing but its keys, in prefill and decode alike. K and V are read from
// pages (Kwon et al., "PagedAttention", 2023), this row's own included.
// Keys past a query's own are masked; those past the last one of the thread are read as that one: what a page holds there may be anything.
// A score that is no number, found on its exponent bits, makes the row none: a weight of exp(-infinity) would hide it. So does a value,
// where rows with fewer keys are beside: times their weight of zero it would make these none, too.
// An inert row attends to nothing: its output is zero.
// WINDOW (0: none) is how many positions a row sees, its own included. What lies before the first key of the thread is not read, page
// numbers included: pages out of every window are somebody else's. CAP (0: none) is a soft cap on scores (lib/softcap).
// Loops over rows, pages and what is in a page test at their end, as in lora-shrink.
// From outside: KV_HEADS, GROUP, QKV_STRIDE4, OUT_STRIDE4, PAGES_PER_ROW, SCALE, CAP, ROWS, MOST; lib/step, lib/state, lib/grid,
// lib/softcap, lib/window, lib/keys-*, lib/pool-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(4) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;

const PAGE_TOKENS = 16u;
const LEAST = -3.0e38;   // a finite minimum: WGSL may assume that infinities do not occur
const LOWEST = -1.0e38;  // the maximum of no key: so far above LEAST that a page of masked keys has weights of zero
const EXPONENT = 0x7f800000u;
const NOT_A_NUMBER = 0x7fc00000u;
const NEVER = 0xffffffffu;
const VALUES = KV_HEADS * PAGE_TOKENS * DIM4;   // from a key's K to its V
const SHARE = MOST * LANES;                     // queries of threads that share their loads
const PARTS = (ROWS * GROUP + SHARE - 1u) / SHARE;
const QUERIES = (ROWS * GROUP + PARTS * LANES - 1u) / (PARTS * LANES);
const_assert MOST <= 8u;

// Four numbers of 16 keys each, or one number of each: 16 scores, or their weights.
struct Keys { a: Four, b: Four, c: Four, d: Four }
struct Scores { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

// What is known of a query: where it lies, its own position, and what was merged so far. `before` is the factor of that at this page.
struct Query { at: u32, last: u32, maximum: f32, sum: f32, before: f32, spoiled: u32 }

// Rows next to each other in the batch: `count` consecutive positions of one sequence.
struct Run { row: u32, count: u32, block_row: u32, position: u32 }

var<private> merged: array<vec4f, QUERIES * DIM4>;
var<private> spoiled_from: u32;   // the first key whose value was no number
var<private> spoiled_to: u32;     // the last one, complemented: the least of these is the last

fn run_at(index: u32, end: u32) -> Run {
  let first = row_at(index);
  var count = 1u;
  if (ROWS > 1u && !is_inert(first)) {
    while (index + count < end) {
      let next = row_at(index + count);
      if (next.block_row != first.block_row || next.position != first.position + count || is_inert(next)) { break; }
      count++;
    }
  }
  return Run(index, count, first.block_row, first.position);
}

// Query number `index` of the batch; one that the run has not got is a copy of one that it has, and not stored.
fn query_at(index: u32, run: Run, kv_head: u32) -> Query {
  let row = clamp(index / GROUP, run.row, run.row + run.count - 1u);
  let at = row * QKV_STRIDE4 + (kv_head * GROUP + index % GROUP) * DIM4;
  return Query(at, run.position + row - run.row, LOWEST, 0.0, 0.0, 0u);
}

fn dots(x: vec4f, k: Four) -> vec4f { return vec4f(dot(x, k.a), dot(x, k.b), dot(x, k.c), dot(x, k.d)); }

fn score(s: Scores, x: vec4f, k: Keys) -> Scores {
  return Scores(s.a + dots(x, k.a), s.b + dots(x, k.b), s.c + dots(x, k.c), s.d + dots(x, k.d));
}

fn masked(sum: vec4f, key: u32, last: u32) -> vec4f {
  var score = sum * SCALE;
  if (CAP > 0.0) { score = softcapped(score, CAP); }
  let keys = vec4u(key, key + 1u, key + 2u, key + 3u);
  let seen = select(vec4f(LEAST), score, keys <= vec4u(last));
  if (WINDOW == 0u) { return seen; }
  return select(vec4f(LEAST), seen, keys + vec4u(WINDOW) > vec4u(last));
}

fn mask(q: Query, s: Scores, key: u32) -> Scores {
  return Scores(masked(s.a, key, q.last), masked(s.b, key + 4u, q.last), masked(s.c, key + 8u, q.last), masked(s.d, key + 12u, q.last));
}

fn is_none(v: vec4f) -> vec4<bool> { return (bitcast<vec4u>(v) & vec4u(EXPONENT)) == vec4u(EXPONENT); }

// The query with the maximum of this page, too.
fn meet(q: Query, s: Scores) -> Query {
  let top = max(max(s.a, s.b), max(s.c, s.d));
  let maximum = max(q.maximum, max(max(top.x, top.y), max(top.z, top.w)));
  let none = vec4u(is_none(s.a)) | vec4u(is_none(s.b)) | vec4u(is_none(s.c)) | vec4u(is_none(s.d));
  return Query(q.at, q.last, maximum, q.sum, exp(q.maximum - maximum), q.spoiled | none.x | none.y | none.z | none.w);
}

fn weights(s: Scores, maximum: f32) -> Scores {
  return Scores(exp(s.a - maximum), exp(s.b - maximum), exp(s.c - maximum), exp(s.d - maximum));
}

fn summed(q: Query, w: Scores) -> Query {
  let sums = w.a + w.b + w.c + w.d;
  return Query(q.at, q.last, q.maximum, q.sum * q.before + (sums.x + sums.y + sums.z + sums.w), q.before, q.spoiled);
}

// A value of rows that do not all have the key: zero where it is no number, which spoils those that have the key.
fn cleaned(v: vec4f, key: u32) -> vec4f {
  if (ROWS == 1u) { return v; }
  let none = is_none(v);
  spoiled_from = min(spoiled_from, select(NEVER, key, any(none)));
  if (WINDOW > 0u) { spoiled_to = min(spoiled_to, select(NEVER, ~key, any(none))); }
  return select(v, vec4f(), none);
}

fn weighted(sum: vec4f, w: vec4f, v: Four) -> vec4f {
  return fma(vec4f(w.w), v.d, fma(vec4f(w.z), v.c, fma(vec4f(w.y), v.b, fma(vec4f(w.x), v.a, sum))));
}

// What is merged of quad i of a query's numbers, with this page.
fn merge(at: u32, q: Query, w: Scores, v: Keys) {
  merged[at] = weighted(weighted(weighted(weighted(merged[at] * q.before, w.a, v.a), w.b, v.b), w.c, v.c), w.d, v.d);
}

fn store(query: u32, index: u32, q: Query, run: Run, kv_head: u32) {
  let row = index / GROUP;
  if (row < run.row || row >= run.row + run.count) { return; }
  let at = row * OUT_STRIDE4 + (kv_head * GROUP + index % GROUP) * DIM4;
  var has_spoiled = spoiled_from <= q.last;
  if (WINDOW > 0u) { has_spoiled = has_spoiled && ~spoiled_to >= first_key(q.last); }
  let is_spoiled = q.spoiled != 0u || has_spoiled;
  for (var i = 0u; i < DIM4; i++) {
    let value = bitcast<vec4u>(merged[query * DIM4 + i] / q.sum);
    out[at + i] = bitcast<vec4f>(select(value, vec4u(NOT_A_NUMBER), is_spoiled));
  }
}

// The queries from number `first` on that are the run's.
fn attend(first: u32, run: Run, kv_head: u32, lane: u32) {
  spoiled_from = NEVER;
  spoiled_to = NEVER;
  for (var i = 0u; i < QUERIES * DIM4; i++) { merged[i] = vec4f(); }
  var q0 = query_at(first, run, kv_head);
  var q1 = query_at(first + 1u, run, kv_head);
  var q2 = query_at(first + 2u, run, kv_head);
  var q3 = query_at(first + 3u, run, kv_head);
  var q4 = query_at(first + 4u, run, kv_head);
  var q5 = query_at(first + 5u, run, kv_head);
  var q6 = query_at(first + 6u, run, kv_head);
  var q7 = query_at(first + 7u, run, kv_head);
  let last = run.position + run.count - 1u;
  let begin = first_key(run.position);
  var key = begin / PAGE_TOKENS * PAGE_TOKENS;
  loop {
    let page = blocks[run.block_row * PAGES_PER_ROW + key / PAGE_TOKENS];
    let start = (page * 2u * KV_HEADS + kv_head) * PAGE_TOKENS * DIM4;
    let least = max(begin, key) - key;
    let a = places(start, 0u, least, last - key, lane);
    let b = places(start, 4u, least, last - key, lane);
    let c = places(start, 8u, least, last - key, lane);
    let d = places(start, 12u, least, last - key, lane);
    var s0 = Scores();
    var s1 = Scores();
    var s2 = Scores();
    var s3 = Scores();
    var s4 = Scores();
    var s5 = Scores();
    var s6 = Scores();
    var s7 = Scores();
    var i = 0u;
    loop {
      let k = Keys(four(a, i), four(b, i), four(c, i), four(d, i));
      s0 = score(s0, qkv[q0.at + i], k);
      if (QUERIES > 1u) { s1 = score(s1, qkv[q1.at + i], k); }
      if (QUERIES > 2u) { s2 = score(s2, qkv[q2.at + i], k); }
      if (QUERIES > 3u) { s3 = score(s3, qkv[q3.at + i], k); }
      if (QUERIES > 4u) { s4 = score(s4, qkv[q4.at + i], k); }
      if (QUERIES > 5u) { s5 = score(s5, qkv[q5.at + i], k); }
      if (QUERIES > 6u) { s6 = score(s6, qkv[q6.at + i], k); }
      if (QUERIES > 7u) { s7 = score(s7, qkv[q7.at + i], k); }
      continuing { i++; break if i >= DIM4; }
    }
    s0 = mask(q0, s0, key); q0 = meet(q0, s0); s0 = weights(s0, q0.maximum); q0 = summed(q0, s0);
    if (QUERIES > 1u) { s1 = mask(q1, s1, key); q1 = meet(q1, s1); s1 = weights(s1, q1.maximum); q1 = summed(q1, s1); }
    if (QUERIES > 2u) { s2 = mask(q2, s2, key); q2 = meet(q2, s2); s2 = weights(s2, q2.maximum); q2 = summed(q2, s2); }
    if (QUERIES > 3u) { s3 = mask(q3, s3, key); q3 = meet(q3, s3); s3 = weights(s3, q3.maximum); q3 = summed(q3, s3); }
    if (QUERIES > 4u) { s4 = mask(q4, s4, key); q4 = meet(q4, s4); s4 = weights(s4, q4.maximum); q4 = summed(q4, s4); }
    if (QUERIES > 5u) { s5 = mask(q5, s5, key); q5 = meet(q5, s5); s5 = weights(s5, q5.maximum); q5 = summed(q5, s5); }
    if (QUERIES > 6u) { s6 = mask(q6, s6, key); q6 = meet(q6, s6); s6 = weights(s6, q6.maximum); q6 = summed(q6, s6); }
    if (QUERIES > 7u) { s7 = mask(q7, s7, key); q7 = meet(q7, s7); s7 = weights(s7, q7.maximum); q7 = summed(q7, s7); }
    i = 0u;
    loop {
      let va = cleaned_four(a, VALUES + i, key, lane);
      let vb = cleaned_four(b, VALUES + i, key + 4u, lane);
      let vc = cleaned_four(c, VALUES + i, key + 8u, lane);
      let vd = cleaned_four(d, VALUES + i, key + 12u, lane);
      let v = Keys(va, vb, vc, vd);
      merge(i, q0, s0, v);
      if (QUERIES > 1u) { merge(DIM4 + i, q1, s1, v); }
      if (QUERIES > 2u) { merge(2u * DIM4 + i, q2, s2, v); }
      if (QUERIES > 3u) { merge(3u * DIM4 + i, q3, s3, v); }
      if (QUERIES > 4u) { merge(4u * DIM4 + i, q4, s4, v); }
      if (QUERIES > 5u) { merge(5u * DIM4 + i, q5, s5, v); }
      if (QUERIES > 6u) { merge(6u * DIM4 + i, q6, s6, v); }
      if (QUERIES > 7u) { merge(7u * DIM4 + i, q7, s7, v); }
      continuing { i++; break if i >= DIM4; }
    }
    continuing { key += PAGE_TOKENS; break if key > last; }
  }
  spoiled_from = least_of_sharing(spoiled_from);
  if (WINDOW > 0u) { spoiled_to = least_of_sharing(spoiled_to); }
  store(0u, first, q0, run, kv_head);
  if (QUERIES > 1u) { store(1u, first + 1u, q1, run, kv_head); }
  if (QUERIES > 2u) { store(2u, first + 2u, q2, run, kv_head); }
  if (QUERIES > 3u) { store(3u, first + 3u, q3, run, kv_head); }
  if (QUERIES > 4u) { store(4u, first + 4u, q4, run, kv_head); }
  if (QUERIES > 5u) { store(5u, first + 5u, q5, run, kv_head); }
  if (QUERIES > 6u) { store(6u, first + 6u, q6, run, kv_head); }
  if (QUERIES > 7u) { store(7u, first + 7u, q7, run, kv_head); }
}

fn clear(first: u32, row: u32, kv_head: u32) {
  for (var index = max(first, row * GROUP); index < min(first + QUERIES, (row + 1u) * GROUP); index++) {
    let at = row * OUT_STRIDE4 + (kv_head * GROUP + index % GROUP) * DIM4;
    for (var i = 0u; i < DIM4; i++) { out[at + i] = vec4f(); }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = sharing_index(workgroup, grid, local);
  let kv_head = i % KV_HEADS;
  let tile = i / KV_HEADS / PARTS;
  let first = tile * ROWS * GROUP + i / KV_HEADS % PARTS * QUERIES * LANES;
  let all = min((tile + 1u) * ROWS, row_count()) * GROUP;
  if (first >= all) { return; }
  let end = (min(first + QUERIES * LANES, all) - 1u) / GROUP + 1u;
  let lane = local % LANES;
  let own = first + lane * QUERIES;
  var row = first / GROUP;
  loop {
    let run = run_at(row, end);
    row += run.count;
    if (is_inert(row_at(run.row))) { clear(own, run.row, kv_head); } else { attend(own, run, kv_head, lane); }
    continuing { break if row >= end; }
  }
}
