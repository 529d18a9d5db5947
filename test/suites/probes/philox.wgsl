// words[i] = philox(counter i, key i)      inputs: (COUNT, [4 of counter, 2 of key, 2 unused])
// From outside: COUNT; lib/grid, lib/philox.
@group(0) @binding(0) var<storage, read> inputs: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> words: array<vec4u>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  if (i >= COUNT) { return; }
  words[i] = philox(inputs[2u * i], inputs[2u * i + 1u].xy);
}
