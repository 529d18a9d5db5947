// y[row, OUT_AT4 * 4 + n] (+)= dot(w[n], x[row])      shapes and names as in matmul-row
// One thread per 8 rows and 8 outputs: 16 loads feed 64 dot products, twice as many a load as in matmul-tile. Every output is
// summed in matmul-row's order, so a row's result does not depend on how many rows the batch has. Rows and outputs past the end
// repeat the last ones and are not stored. A larger tile takes longer to compile than it saves.
// From outside: WIDTH8, OUT4, OUT_AT4, Y_STRIDE4, ADD, LOGITS; lib/step, lib/grid, lib/weights-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

const ACROSS = (OUT4 + 1u) / 2u;

struct Outputs { a: Eight, b: Eight, c: Eight, d: Eight }

// Eight weights of each of the four outputs of a quad.
fn load_outputs(at: u32) -> Outputs {
  return Outputs(load_weights(at), load_weights(at + WIDTH8), load_weights(at + 2u * WIDTH8), load_weights(at + 3u * WIDTH8));
}

fn dots_lo(w: Outputs, v: vec4f) -> vec4f { return vec4f(dot(w.a.lo, v), dot(w.b.lo, v), dot(w.c.lo, v), dot(w.d.lo, v)); }
fn dots_hi(w: Outputs, v: vec4f) -> vec4f { return vec4f(dot(w.a.hi, v), dot(w.b.hi, v), dot(w.c.hi, v), dot(w.d.hi, v)); }

fn store(row: u32, rows: u32, n: u32, value: vec4f) {
  if (row >= rows || n >= OUT4) { return; }
  let at = row * Y_STRIDE4 + OUT_AT4 + n;
  var sum = value;
  if (ADD) { sum += y[at]; }
  y[at] = sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let row = i / ACROSS * 8u;
  let n = i % ACROSS * 2u;
  let rows = select(row_count(), logit_row_count(), LOGITS);
  if (row >= rows) { return; }
  let w0 = n * 4u * WIDTH8;
  let w1 = min(n + 1u, OUT4 - 1u) * 4u * WIDTH8;
  let stride = WIDTH8 * 2u;
  let last = rows - 1u;
  let x0 = row * stride;
  let x1 = min(row + 1u, last) * stride;
  let x2 = min(row + 2u, last) * stride;
  let x3 = min(row + 3u, last) * stride;
  let x4 = min(row + 4u, last) * stride;
  let x5 = min(row + 5u, last) * stride;
  let x6 = min(row + 6u, last) * stride;
  let x7 = min(row + 7u, last) * stride;
  var s0 = vec4f();
  var t0 = vec4f();
  var s1 = vec4f();
  var t1 = vec4f();
  var s2 = vec4f();
  var t2 = vec4f();
  var s3 = vec4f();
  var t3 = vec4f();
  var s4 = vec4f();
  var t4 = vec4f();
  var s5 = vec4f();
  var t5 = vec4f();
  var s6 = vec4f();
  var t6 = vec4f();
  var s7 = vec4f();
  var t7 = vec4f();
  for (var k = 0u; k < WIDTH8; k++) {
    let p = load_outputs(w0 + k);
    let q = load_outputs(w1 + k);
    let k2 = 2u * k;
    let lo0 = x[x0 + k2];
    s0 += dots_lo(p, lo0);
    t0 += dots_lo(q, lo0);
    let lo1 = x[x1 + k2];
    s1 += dots_lo(p, lo1);
    t1 += dots_lo(q, lo1);
    let lo2 = x[x2 + k2];
    s2 += dots_lo(p, lo2);
    t2 += dots_lo(q, lo2);
    let lo3 = x[x3 + k2];
    s3 += dots_lo(p, lo3);
    t3 += dots_lo(q, lo3);
    let lo4 = x[x4 + k2];
    s4 += dots_lo(p, lo4);
    t4 += dots_lo(q, lo4);
    let lo5 = x[x5 + k2];
    s5 += dots_lo(p, lo5);
    t5 += dots_lo(q, lo5);
    let lo6 = x[x6 + k2];
    s6 += dots_lo(p, lo6);
    t6 += dots_lo(q, lo6);
    let lo7 = x[x7 + k2];
    s7 += dots_lo(p, lo7);
    t7 += dots_lo(q, lo7);
    let hi0 = x[x0 + k2 + 1u];
    s0 += dots_hi(p, hi0);
    t0 += dots_hi(q, hi0);
    let hi1 = x[x1 + k2 + 1u];
    s1 += dots_hi(p, hi1);
    t1 += dots_hi(q, hi1);
    let hi2 = x[x2 + k2 + 1u];
    s2 += dots_hi(p, hi2);
    t2 += dots_hi(q, hi2);
    let hi3 = x[x3 + k2 + 1u];
    s3 += dots_hi(p, hi3);
    t3 += dots_hi(q, hi3);
    let hi4 = x[x4 + k2 + 1u];
    s4 += dots_hi(p, hi4);
    t4 += dots_hi(q, hi4);
    let hi5 = x[x5 + k2 + 1u];
    s5 += dots_hi(p, hi5);
    t5 += dots_hi(q, hi5);
    let hi6 = x[x6 + k2 + 1u];
    s6 += dots_hi(p, hi6);
    t6 += dots_hi(q, hi6);
    let hi7 = x[x7 + k2 + 1u];
    s7 += dots_hi(p, hi7);
    t7 += dots_hi(q, hi7);
  }
  store(row, rows, n, s0);
  store(row, rows, n + 1u, t0);
  store(row + 1u, rows, n, s1);
  store(row + 1u, rows, n + 1u, t1);
  store(row + 2u, rows, n, s2);
  store(row + 2u, rows, n + 1u, t2);
  store(row + 3u, rows, n, s3);
  store(row + 3u, rows, n + 1u, t3);
  store(row + 4u, rows, n, s4);
  store(row + 4u, rows, n + 1u, t4);
  store(row + 5u, rows, n, s5);
  store(row + 5u, rows, n + 1u, t5);
  store(row + 6u, rows, n, s6);
  store(row + 6u, rows, n + 1u, t6);
  store(row + 7u, rows, n, s7);
  store(row + 7u, rows, n + 1u, t7);
}
