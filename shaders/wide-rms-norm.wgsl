// y[i] (+)= x[row(i)] / rms(x[row(i)]) * weight      shapes and names as in rms-norm
// One workgroup per row.
// From outside: WIDTH4, STRIDE4, EPSILON, GATHER, ADD; lib/step, lib/grid, lib/norm-*, lib/reduce-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

var<workgroup> scale: f32;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = workgroup_index(workgroup, grid);
  if (i >= select(row_count(), logit_row_count(), GATHER)) { return; }
  var row = i;
  if (GATHER) { row = logit_row_at(i); }
  var squares = vec4f();
  for (var k = local; k < WIDTH4; k += WORKGROUP_SIZE) {
    let v = x[row * STRIDE4 + k];
    squares = fma(v, v, squares);
  }
  let sum = sum_of_workgroup(local, 1u, squares, vec4f(), vec4f(), vec4f());
  if (local == 0u) { scale = 1.0 / sqrt((sum.x + sum.y + sum.z + sum.w) / f32(WIDTH4 * 4u) + EPSILON); }
  workgroupBarrier();
  let own = norm_of(row);
  for (var k = local; k < WIDTH4; k += WORKGROUP_SIZE) {
    let value = x[row * STRIDE4 + k] * scale * weight_at(own, k);
    if (ADD) { y[i * STRIDE4 + k] += value; } else { y[i * STRIDE4 + k] = value; }
  }
}
