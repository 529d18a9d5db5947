// y[i] (+)= x[row(i)] / rms(x[row(i)]) * weight      x, y: (rows, STRIDE4 * 4), WIDTH4 * 4 of them used   weight: (WIDTH4 * 4)
// row(i) is i, or with GATHER the batch row of logit row i. ADD adds to what y holds. One thread per row: a barrier would cost more in software.
// From outside: WIDTH4, STRIDE4, EPSILON, GATHER, ADD; lib/step, lib/grid, lib/norm-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  if (i >= select(row_count(), logit_row_count(), GATHER)) { return; }
  var row = i;
  if (GATHER) { row = logit_row_at(i); }
  var sum = 0.0;
  for (var k = 0u; k < WIDTH4; k++) {
    let v = x[row * STRIDE4 + k];
    sum += dot(v, v);
  }
  let own = norm_of(row);
  let scale = 1.0 / sqrt(sum / f32(WIDTH4 * 4u) + EPSILON);
  for (var k = 0u; k < WIDTH4; k++) {
    let value = x[row * STRIDE4 + k] * scale * weight_at(own, k);
    if (ADD) { y[i * STRIDE4 + k] += value; } else { y[i * STRIDE4 + k] = value; }
  }
}
