// Sets y of the rows aside whose adapter multiplies what a projection is about to add to it (DoRA), and leaves zeros: kept = y, y = 0.
// With BACK: y += kept.      y, kept: (rows, Y_STRIDE4 * 4), OUT4 * 4 of them used
// One thread per segment, row of it and 4 columns.
// From outside: GAIN_AT, SITES_IN_MODEL, OUT4, Y_STRIDE4, BACK; lib/step, lib/grid.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> kept: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let n = i % OUT4;
  let index = i / OUT4 / 4u;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let row = i / OUT4 % 4u;
  if (row >= segment.row_count) { return; }
  if (descriptors[adapter_of(segment.row_start) * SITES_IN_MODEL * 8u + GAIN_AT] == 0u) { return; }
  let at = (segment.row_start + row) * Y_STRIDE4 + n;
  if (BACK) {
    y[at] += kept[at];
  } else {
    kept[at] = y[at];
    y[at] = vec4f();
  }
}
