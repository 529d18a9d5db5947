// x[row] = SCALE * embedding of the row's token, for the rows of one adapter, which brought the matrix with it.
// x: (rows, WIDTH8 * 8)   weights: (COUNT, WIDTH8 * 8), tokens FIRST..FIRST+COUNT-1   own: the adapter's slot
// One thread per 8 numbers; as in embed.
// From outside: VOCABULARY, FIRST, COUNT, WIDTH8, SCALE; lib/step, lib/state, lib/grid, lib/weights-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> own: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(3) var<storage, read> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> x: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let row = i / WIDTH8;
  let k = i % WIDTH8;
  if (row >= row_count()) { return; }
  if (adapter_of(row) != own[0]) { return; }
  let token = min(token_of(row_at(row)), VOCABULARY - 1u);
  if (token < FIRST || token - FIRST >= COUNT) { return; }
  let eight = load_weights((token - FIRST) * WIDTH8 + k, 0u);
  x[row * WIDTH8 * 2u + 2u * k] = eight.lo * SCALE;
  x[row * WIDTH8 * 2u + 2u * k + 1u] = eight.hi * SCALE;
}
