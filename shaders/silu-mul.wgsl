// y = silu(gate) * up      gate_up: (rows, [gate | up] of WIDTH4 * 4 each, in GATE_STRIDE4 * 4)   y: (rows, Y_STRIDE4 * 4)
// One thread per 4 numbers. SwiGLU: Shazeer, "GLU variants improve transformer", 2020.
// From outside: WIDTH4, GATE_STRIDE4, Y_STRIDE4; lib/step, lib/grid.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> gate_up: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let row = i / WIDTH4;
  let n = i % WIDTH4;
  if (row >= row_count()) { return; }
  let gate = gate_up[row * GATE_STRIDE4 + n];
  let up = gate_up[row * GATE_STRIDE4 + WIDTH4 + n];
  // exp(88) is the last finite one: beyond it the quotient is 0 to f32's precision anyway.
  y[row * Y_STRIDE4 + n] = gate / (1.0 + exp(min(-gate, vec4f(88.0)))) * up;
}
