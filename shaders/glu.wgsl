// y = act(gate) * up      gate_up: (rows, [gate | up] of WIDTH4 * 4 each, in GATE_STRIDE4 * 4)   y: (rows, Y_STRIDE4 * 4)
// act is SiLU, or with GELU its tanh form of GELU. With BIAS, `bias` ([gate | up]) is added to both first: after what adapters changed.
// One thread per 4 numbers. Shazeer, "GLU variants improve transformer", 2020.
// From outside: WIDTH4, GATE_STRIDE4, Y_STRIDE4, GELU, BIAS; lib/step, lib/grid.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> gate_up: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

// What the sigmoid is taken of: SiLU is x * sigmoid(x), and 0.5 * (1 + tanh(t)) is sigmoid(2 * t).
fn slope(x: vec4f) -> vec4f {
  if (!GELU) { return x; }
  let c = clamp(x, vec4f(-20.0), vec4f(20.0));   // beyond it is 0 or 1 to f32's precision, and a cube may be infinite
  return 1.5957691216 * fma(0.044715 * c * c, c, c);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let row = i / WIDTH4;
  let n = i % WIDTH4;
  if (row >= row_count()) { return; }
  var gate = gate_up[row * GATE_STRIDE4 + n];
  var up = gate_up[row * GATE_STRIDE4 + WIDTH4 + n];
  if (BIAS) {
    gate += bias[n];
    up += bias[WIDTH4 + n];
  }
  // exp(88) is the last finite one: beyond it the quotient is 0 to f32's precision anyway.
  y[row * Y_STRIDE4 + n] = gate / (1.0 + exp(min(-slope(gate), vec4f(88.0)))) * up;
}
