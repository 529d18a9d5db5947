// Counts the invocations of each 65,536 indices in a row.      counts: (ceil(threads / 65,536))
// From outside: COUNT; lib/grid.
@group(0) @binding(0) var<storage, read_write> counts: array<atomic<u32>>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  if (i < COUNT) { atomicAdd(&counts[i >> 16u], 1u); }
}
