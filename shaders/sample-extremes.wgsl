// Largest and smallest logit of each chunk of the vocabulary, for samplers that leave tokens out.      extremes: (samplers, CHUNKS)
// One thread per sampler and chunk; it also clears a part of the first bins that sample-digit adds to.
// From outside: lib/step, lib/sampler, lib/chunks, lib/extremes, lib/grid.
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
  extremes[i] = extremes_among(sampler, chunk * CHUNK4, end_of(chunk), 1u);
  for (var word = chunk; word < 512u; word += CHUNKS) { bins[index * 3u * 512u + word] = 0u; }
}
