// y[row, OUT_AT4 * 4 + n] (+)= dot(w[n], x[row])      shapes and names as in matmul-row
// One workgroup per 4 rows and 4 outputs: neighbouring threads read neighbouring weights, each weight once for the 4 rows, and
// the workgroup sums what its threads have. Workgroups that read the same weights are neighbours. A row is summed in the same
// order in any batch. ADD adds to what y holds (the residual). LOGITS counts logit rows instead of batch rows.
// From outside: WIDTH8, OUT4, OUT_AT4, Y_STRIDE4, ADD, LOGITS, SCALES_AT; lib/step, lib/grid, lib/weights-*, lib/reduce-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

const TILE_ROWS = 4u;

fn dots(a: vec4f, b: vec4f, c: vec4f, d: vec4f, v: vec4f) -> vec4f {
  return vec4f(dot(a, v), dot(b, v), dot(c, v), dot(d, v));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = workgroup_index(workgroup, grid);
  let rows = select(row_count(), logit_row_count(), LOGITS);
  let tiles = (rows + TILE_ROWS - 1u) / TILE_ROWS;
  let row = i % tiles * TILE_ROWS;
  let n = i / tiles;
  if (n >= OUT4) { return; }
  let last = min(TILE_ROWS, rows - row) - 1u;
  let w0 = n * 4u * WIDTH8;
  let stride = WIDTH8 * 2u;
  let x0 = row * stride;
  let x1 = (row + min(1u, last)) * stride;
  let x2 = (row + min(2u, last)) * stride;
  let x3 = (row + last) * stride;
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
  for (var k = local; k < WIDTH8; k += WORKGROUP_SIZE) {
    let a = load_weights(w0 + k, SCALES_AT);
    let b = load_weights(w0 + WIDTH8 + k, SCALES_AT);
    let c = load_weights(w0 + 2u * WIDTH8 + k, SCALES_AT);
    let d = load_weights(w0 + 3u * WIDTH8 + k, SCALES_AT);
    let k2 = 2u * k;
    sum0 += dots(a.lo, b.lo, c.lo, d.lo, x[x0 + k2]);
    sum0 += dots(a.hi, b.hi, c.hi, d.hi, x[x0 + k2 + 1u]);
    if (last > 0u) {
      sum1 += dots(a.lo, b.lo, c.lo, d.lo, x[x1 + k2]);
      sum1 += dots(a.hi, b.hi, c.hi, d.hi, x[x1 + k2 + 1u]);
      sum2 += dots(a.lo, b.lo, c.lo, d.lo, x[x2 + k2]);
      sum2 += dots(a.hi, b.hi, c.hi, d.hi, x[x2 + k2 + 1u]);
      sum3 += dots(a.lo, b.lo, c.lo, d.lo, x[x3 + k2]);
      sum3 += dots(a.hi, b.hi, c.hi, d.hi, x[x3 + k2 + 1u]);
    }
  }
  var sum = sum_of_workgroup(local, last + 1u, sum0, sum1, sum2, sum3);
  if (local > last) { return; }
  let at = (row + local) * Y_STRIDE4 + OUT_AT4 + n;
  if (ADD) { sum += y[at]; }
  y[at] = sum;
}
