// y[row, OUT_AT4 * 4 + n] (+)= dot(w[n], x[row])      shapes and names as in matmul-row
// One thread per 4 rows and 4 outputs: 8 loads feed 16 dot products. Every output is summed in matmul-row's order, so a
// row's result does not depend on how many rows the batch has. Rows past the end repeat the last one and are not stored.
// From outside: WIDTH8, OUT4, OUT_AT4, Y_STRIDE4, ADD, LOGITS; lib/step, lib/grid, lib/weights-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

fn dots(a: vec4f, b: vec4f, c: vec4f, d: vec4f, v: vec4f) -> vec4f {
  return vec4f(dot(a, v), dot(b, v), dot(c, v), dot(d, v));
}

fn store(row: u32, rows: u32, n: u32, value: vec4f) {
  if (row >= rows) { return; }
  let at = row * Y_STRIDE4 + OUT_AT4 + n;
  var sum = value;
  if (ADD) { sum += y[at]; }
  y[at] = sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let row = i / OUT4 * 4u;
  let n = i % OUT4;
  let rows = select(row_count(), logit_row_count(), LOGITS);
  if (row >= rows) { return; }
  let w0 = n * 4u * WIDTH8;
  let stride = WIDTH8 * 2u;
  let x0 = row * stride;
  let x1 = min(row + 1u, rows - 1u) * stride;
  let x2 = min(row + 2u, rows - 1u) * stride;
  let x3 = min(row + 3u, rows - 1u) * stride;
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
  for (var k = 0u; k < WIDTH8; k++) {
    let a = load_weights(w0 + k);
    let b = load_weights(w0 + WIDTH8 + k);
    let c = load_weights(w0 + 2u * WIDTH8 + k);
    let d = load_weights(w0 + 3u * WIDTH8 + k);
    let k2 = 2u * k;
    sum0 += dots(a.lo, b.lo, c.lo, d.lo, x[x0 + k2]);
    sum1 += dots(a.lo, b.lo, c.lo, d.lo, x[x1 + k2]);
    sum2 += dots(a.lo, b.lo, c.lo, d.lo, x[x2 + k2]);
    sum3 += dots(a.lo, b.lo, c.lo, d.lo, x[x3 + k2]);
    sum0 += dots(a.hi, b.hi, c.hi, d.hi, x[x0 + k2 + 1u]);
    sum1 += dots(a.hi, b.hi, c.hi, d.hi, x[x1 + k2 + 1u]);
    sum2 += dots(a.hi, b.hi, c.hi, d.hi, x[x2 + k2 + 1u]);
    sum3 += dots(a.hi, b.hi, c.hi, d.hi, x[x3 + k2 + 1u]);
  }
  store(row, rows, n, sum0);
  store(row + 1u, rows, n, sum1);
  store(row + 2u, rows, n, sum2);
  store(row + 3u, rows, n, sum3);
}
