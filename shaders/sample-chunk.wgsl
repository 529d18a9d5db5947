// Best candidate of each chunk of the vocabulary, per sampler.      logits: (logit rows, LOGITS_STRIDE4 * 4)   best: (samplers, CHUNKS)
// One thread per sampler and chunk. See lib/candidates.
// From outside: lib/step, lib/sampler, lib/chunks, lib/candidates, lib/grid, lib/philox.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> adjust: array<vec4u>;
@group(0) @binding(3) var<storage, read> trail: array<vec4u>;   // of sample-digit
@group(0) @binding(4) var<storage, read_write> best: array<vec4u>;   // score bits, token, poisoned, 0

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let index = i / CHUNKS;
  let chunk = i % CHUNKS;
  if (index >= sampler_count()) { return; }
  best[i] = best_among(index, chunk * CHUNK4, end_of(chunk), 1u);
}
