// The token of each sampler from its chunks' candidates.      best: (samplers, CHUNKS)   ids: (samplers)   state: (state slots)
// One thread per sampler. The token goes to `ids`, which JS reads, and to the sequence's state slot, where the next step's
// embedding finds it without waiting for JS. A poisoned row gives POISONED, and only its own request fails.
// From outside: CHUNKS; lib/step, lib/grid.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> best: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> state: array<u32>;
@group(0) @binding(3) var<storage, read_write> ids: array<u32>;

const POISONED = 0xffffffffu;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  if (i >= sampler_count()) { return; }
  var winner = best[i * CHUNKS];
  var poisoned = winner.z;
  for (var chunk = 1u; chunk < CHUNKS; chunk++) {
    let candidate = best[i * CHUNKS + chunk];
    poisoned |= candidate.z;
    if (bitcast<f32>(candidate.x) > bitcast<f32>(winner.x)) { winner = candidate; }
  }
  state[step[sampler_at(i) + 1u]] = winner.y;
  ids[i] = select(winner.y, POISONED, poisoned != 0u);
}
