// out[row, head] = what the splits of wide-attention come to, merged in order of position      parts: (splits, rows, heads, DIM4 + 1)
// One thread per row, query head and quad of columns.
// An inert row attends to nothing: its output is zero.
// From outside: KV_HEADS, GROUP, DIM4, OUT_STRIDE4, SPLIT_TILES; lib/step, lib/state, lib/grid, lib/softmax, lib/window.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read> parts: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;

const TILE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let d = i % DIM4;
  let head = i / DIM4 % (KV_HEADS * GROUP);
  let index = i / DIM4 / (KV_HEADS * GROUP);
  if (index >= row_count()) { return; }
  let row = row_at(index);
  let to = index * OUT_STRIDE4 + head * DIM4 + d;
  if (is_inert(row)) {
    out[to] = vec4f();
    return;
  }
  var maximum = LEAST;
  var sum = 0.0;
  var value = vec4f();
  let splits = row.position / (TILE * SPLIT_TILES) - first_key(row.position) / (TILE * SPLIT_TILES);
  for (var split = 0u; split <= splits; split++) {
    let at = ((split * row_count() + index) * KV_HEADS * GROUP + head) * (DIM4 + 1u);
    let of_split = parts[at + DIM4];
    let m = merge_of(maximum, of_split.x);
    maximum = m.maximum;
    sum = sum * m.before + of_split.y * m.now;
    value = value * m.before + parts[at + d] * m.now;
  }
  out[to] = quotient(value, sum, maximum);
}
