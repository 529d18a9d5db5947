// The token of each sampler from its chunks' candidates      shapes and names as in sample-merge
// One workgroup per sampler. Of equal candidates the lowest token is that of the earliest chunk.
// From outside: lib/step, lib/chunks, lib/taken, lib/grid, lib/pick, lib/picks-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> best: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> state: array<u32>;
@group(0) @binding(3) var<storage, read_write> adjust: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> ids: array<u32>;

const LEAST = -3.4028234e38;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let index = workgroup_index(workgroup, grid);
  if (index >= sampler_count()) { return; }
  var own = Pick(LEAST, NO_TOKEN, 0.0);
  for (var chunk = local; chunk < CHUNKS; chunk += WORKGROUP_SIZE) {
    let candidate = best[index * CHUNKS + chunk];
    own = better(own, Pick(bitcast<f32>(candidate.x), candidate.y, f32(candidate.z)));
  }
  let winner = pick_of_workgroup(local, own);
  // scores that are no numbers may compare as they like: what they leave is no token of another row, and poisoned
  if (local == 0u) { take(index, min(winner.token, VOCABULARY - 1u), winner.other != 0.0); }
}
