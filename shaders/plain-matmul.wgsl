// y[row, OUT_AT4 * 4 + n] (+)= sum over k of w[n, k] * x[row, k]      shapes and names as in matmul-row
// The plain loop: one thread per output. It is what the other forms are checked against on a device, and serves where they fail.
// From outside: WIDTH8, OUT4, OUT_AT4, Y_STRIDE4, ADD, LOGITS, SCALES_AT; lib/step, lib/grid, lib/weights-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let row = i / (OUT4 * 4u);
  let n = i % (OUT4 * 4u);
  if (row >= select(row_count(), logit_row_count(), LOGITS)) { return; }
  var sum = 0.0;
  for (var k = 0u; k < WIDTH8; k++) {
    let w = load_weights(n * WIDTH8 + k, SCALES_AT);
    let at = (row * WIDTH8 + k) * 8u;
    sum += w.lo.x * x[at];
    sum += w.lo.y * x[at + 1u];
    sum += w.lo.z * x[at + 2u];
    sum += w.lo.w * x[at + 3u];
    sum += w.hi.x * x[at + 4u];
    sum += w.hi.y * x[at + 5u];
    sum += w.hi.z * x[at + 6u];
    sum += w.hi.w * x[at + 7u];
  }
  let at = (row * Y_STRIDE4 + OUT_AT4) * 4u + n;
  if (ADD) { sum += y[at]; }
  y[at] = sum;
}
