// Largest and smallest logit of each chunk of the vocabulary, for samplers that leave tokens out.      extremes: (samplers, CHUNKS)
// One thread per sampler and chunk of CHUNK4 * 4 tokens; it also clears a part of the first bins that sample-digit adds to.
// From outside: LOGITS_STRIDE4, CHUNKS, CHUNK4; lib/step, lib/sampler, lib/grid.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> adjust: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> extremes: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> bins: array<u32>;   // (samplers, 3, 512)

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let index = i / CHUNKS;
  let chunk = i % CHUNKS;
  if (index >= sampler_count()) { return; }
  let sampler = sampler_at(index);
  if ((sampler.flags & FILTERS) == 0u) { return; }
  var most = vec4f(-MOST_ADJUSTED);
  var least = vec4f(MOST_ADJUSTED);
  for (var q = chunk * CHUNK4; q < min((chunk + 1u) * CHUNK4, (VOCABULARY + 3u) / 4u); q++) {
    let values = bounded(adjusted(logits[sampler.row * LOGITS_STRIDE4 + q], sampler, q));
    most = select(most, max(most, values), in_vocabulary(q));
    least = select(least, min(least, values), in_vocabulary(q));
  }
  extremes[i] = vec2f(max(max(most.x, most.y), max(most.z, most.w)), min(min(least.x, least.y), min(least.z, least.w)));
  for (var word = chunk; word < 512u; word += CHUNKS) { bins[index * 3u * 512u + word] = 0u; }
}
