// Where each sampler cuts the vocabulary off, one stage of the search (see lib/cuts).      trail: (samplers, 8)
// One thread per sampler and chunk.
// From outside: lib/step, lib/sampler, lib/chunks, lib/cuts, lib/grid.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> stages: array<u32>;   // this dispatch's stage
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read> adjust: array<vec4u>;
@group(0) @binding(4) var<storage, read> extremes: array<vec2f>;
// Of each stage in turn: a sampler's counts, or the low 14 bits of its masses, by digit, then the high bits of the masses.
@group(0) @binding(5) var<storage, read_write> bins: array<atomic<u32>>;   // (samplers, 3, 512)
// What each stage starts from; in the last place what sample-chunk reads: largest logit, scale (f32 bits) and cut.
@group(0) @binding(6) var<storage, read_write> trail: array<vec4u>;

fn amount(at: u32) -> f32 {
  return fma(f32(atomicLoad(&bins[at + DIGITS])), f32(1u << HALF_BITS), f32(atomicLoad(&bins[at])));
}

fn amounts_at(first: u32, quad: u32) -> vec4f {
  let at = first + 4u * quad;
  return vec4f(amount(at), amount(at + 1u), amount(at + 2u), amount(at + 3u));
}

fn gather(first: u32, digit: u32, mass: u32) {
  atomicAdd(&bins[first + digit], mass & ((1u << HALF_BITS) - 1u));
  if ((mass >> HALF_BITS) != 0u) { atomicAdd(&bins[first + DIGITS + digit], mass >> HALF_BITS); }
}

fn extremes_of(index: u32) -> vec2f {
  var found = extremes[index * CHUNKS];
  for (var chunk = 1u; chunk < CHUNKS; chunk++) {
    let more = extremes[index * CHUNKS + chunk];
    found = vec2f(max(found.x, more.x), min(found.y, more.y));
  }
  return found;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let index = i / CHUNKS;
  let chunk = i % CHUNKS;
  let stage = stages[0];
  if (index >= sampler_count() || (stage == SETTLE && chunk != 0u)) { return; }
  let sampler = sampler_at(index);
  if (!needs(sampler, stage)) { return; }
  let ends = extremes_of(index);
  let scale = scale_of(sampler, ends.x, ends.y);
  let search = start_of(sampler, index, stage, scale);
  if (stage == SETTLE) {
    trail[index * 8u + 7u] = vec4u(bitcast<u32>(scale.largest), bitcast<u32>(scale.factor), search.limit, 0u);
    return;
  }
  if (chunk == 0u) { trail[index * 8u + stage] = vec4u(search.limit, search.prefix, bitcast<u32>(search.passed), bitcast<u32>(search.goal)); }
  let next = bins_of(index, stage + 1u);
  for (var word = chunk; word < 2u * DIGITS; word += CHUNKS) { atomicStore(&bins[next + word], 0u); }
  for (var q = chunk * CHUNK4; q < end_of(chunk); q++) {
    add(sampler, q, scale, search.limit, search.prefix, stage, bins_of(index, stage));
  }
}
