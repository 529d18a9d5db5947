// Best candidate of each chunk of the vocabulary, per sampler      shapes and names as in sample-chunk
// One workgroup per sampler and chunk: its threads read quads next to each other. See lib/candidates.
// From outside: lib/step, lib/sampler, lib/chunks, lib/candidates, lib/grid, lib/philox, lib/pick, lib/picks-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> adjust: array<vec4u>;
@group(0) @binding(3) var<storage, read> trail: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> best: array<vec4u>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = workgroup_index(workgroup, grid);
  let index = i / CHUNKS;
  let chunk = i % CHUNKS;
  if (index >= sampler_count()) { return; }
  let own = best_among(index, chunk * CHUNK4 + local, end_of(chunk), WORKGROUP_SIZE);
  let picked = pick_of_workgroup(local, Pick(bitcast<f32>(own.x), own.y, f32(own.z)));
  if (local == 0u) { best[i] = vec4u(bitcast<u32>(picked.score), picked.token, u32(picked.other), 0u); }
}
