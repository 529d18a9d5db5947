// The token of each sampler from its chunks' candidates.      best: (samplers, CHUNKS)   ids: (samplers)   state: (state slots, 2)
// One thread per sampler. See lib/taken.
// From outside: lib/step, lib/chunks, lib/taken, lib/grid.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> best: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> state: array<u32>;
@group(0) @binding(3) var<storage, read_write> adjust: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> ids: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  if (i >= sampler_count()) { return; }
  var winner = best[i * CHUNKS];
  var poisoned = winner.z != 0u;
  for (var chunk = 1u; chunk < CHUNKS; chunk++) {
    let candidate = best[i * CHUNKS + chunk];
    poisoned = poisoned || candidate.z != 0u;
    if (bitcast<f32>(candidate.x) > bitcast<f32>(winner.x)) { winner = candidate; }
  }
  take(i, winner.y, poisoned);
}
