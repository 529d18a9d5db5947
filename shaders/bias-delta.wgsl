// Makes of an adapter's bias what expand adds: bias[n] -= base[n], because the base's own is added to every row behind it.
// One thread per 4 outputs.
// From outside: lib/grid, lib/pool-*.
@group(0) @binding(0) var<storage, read> job: array<u32>;
@group(0) @binding(1) var<storage, read> base: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> pool: array<PoolQuad>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let n = thread_index(workgroup, grid, local);
  let count = job[0];
  let first = job[1];    // quad of the base's biases
  let vector = job[2];   // as lib/descriptors names it
  if (n >= count) { return; }
  let at = (vector - 1u + n) * word_quads();
  let last = at + word_quads() - 1u;
  let delta = unpack_words(pool[at], pool[last]) - base[first + n];
  pool[at] = pack_words(delta, 0u);
  pool[last] = pack_words(delta, word_quads() - 1u);
}
