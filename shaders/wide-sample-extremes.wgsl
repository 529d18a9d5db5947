// Largest and smallest logit of each chunk of the vocabulary, for samplers that leave tokens out      shapes and names as in sample-extremes
// One workgroup per sampler and chunk, the first of a sampler also clears the first bins that wide-sample-digit adds to.
// From outside: lib/step, lib/sampler, lib/chunks, lib/extremes, lib/grid, lib/pick, lib/picks-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> adjust: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> extremes: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> bins: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = workgroup_index(workgroup, grid);
  let index = i / CHUNKS;
  let chunk = i % CHUNKS;
  if (index >= sampler_count()) { return; }
  let sampler = sampler_at(index);
  if ((sampler.flags & FILTERS) == 0u) { return; }
  let own = extremes_among(sampler, chunk * CHUNK4 + local, end_of(chunk), WORKGROUP_SIZE);
  let picked = pick_of_workgroup(local, Pick(own.x, 0u, -own.y));
  if (local == 0u) { extremes[i] = vec2f(picked.score, -picked.other); }
  if (chunk == 0u) {
    for (var word = local; word < 512u; word += WORKGROUP_SIZE) { bins[index * 3u * 512u + word] = 0u; }
  }
}
