// x += y + bias, each where it is wanted (Y, BIAS)      x, y: (rows, STRIDE4 * 4), WIDTH4 * 4 of them used   bias: (WIDTH4 * 4)
// One thread per 4 numbers.
// From outside: WIDTH4, STRIDE4, Y, BIAS; lib/step, lib/grid.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let row = i / WIDTH4;
  let n = i % WIDTH4;
  if (row >= row_count()) { return; }
  let at = row * STRIDE4 + n;
  var sum = x[at];
  if (Y) { sum += y[at]; }
  if (BIAS) { sum += bias[n]; }
  x[at] = sum;
}
