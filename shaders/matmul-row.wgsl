// y[row, OUT_AT4 * 4 + n] (+)= dot(w[n], x[row])      x: (rows, WIDTH8 * 8)   w: (OUT4 * 4, WIDTH8 * 8)   y: (rows, Y_STRIDE4 * 4)
// One thread per row and 4 outputs: 4 weight loads share one load of x. For one or very few rows; more: matmul-tile, which
// sums in the same order. ADD adds to what y holds (the residual). LOGITS counts logit rows instead of batch rows.
// From outside: WIDTH8, OUT4, OUT_AT4, Y_STRIDE4, ADD, LOGITS; lib/step, lib/grid, lib/weights-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let row = i / OUT4;
  let n = i % OUT4;
  if (row >= select(row_count(), logit_row_count(), LOGITS)) { return; }
  let w0 = n * 4u * WIDTH8;
  let x0 = row * WIDTH8 * 2u;
  var sum = vec4f();
  for (var k = 0u; k < WIDTH8; k++) {
    let a = load_weights(w0 + k);
    let b = load_weights(w0 + WIDTH8 + k);
    let c = load_weights(w0 + 2u * WIDTH8 + k);
    let d = load_weights(w0 + 3u * WIDTH8 + k);
    let lo = x[x0 + 2u * k];
    let hi = x[x0 + 2u * k + 1u];
    sum += vec4f(dot(a.lo, lo), dot(b.lo, lo), dot(c.lo, lo), dot(d.lo, lo));
    sum += vec4f(dot(a.hi, hi), dot(b.hi, hi), dot(c.hi, hi), dot(d.hi, hi));
  }
  let at = row * Y_STRIDE4 + OUT_AT4 + n;
  if (ADD) { sum += y[at]; }
  y[at] = sum;
}
