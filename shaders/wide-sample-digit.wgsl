// Where each sampler cuts the vocabulary off, one stage of the search      shapes and names as in sample-digit
// One workgroup per sampler and chunk. Its threads bring the bins of the stage behind and the extremes of all chunks together; the first one
// goes on with the search, adding up in the order in which sample-digit does; then all count their tokens in bins of their own, which are
// added to the sampler's at once.
// From outside: lib/step, lib/sampler, lib/chunks, lib/cuts, lib/grid, lib/pick, lib/picks-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> stages: array<u32>;   // this dispatch's stage
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read> adjust: array<vec4u>;
@group(0) @binding(4) var<storage, read> extremes: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> bins: array<atomic<u32>>;
@group(0) @binding(6) var<storage, read_write> trail: array<vec4u>;

var<workgroup> amounts: array<vec4f, DIGITS / 4u>;
var<workgroup> own_bins: array<atomic<u32>, 2u * DIGITS>;
var<workgroup> found: vec4u;   // limit and prefix of the search, largest logit and scale

fn amount(at: u32) -> f32 {
  return fma(f32(atomicLoad(&bins[at + DIGITS])), f32(1u << HALF_BITS), f32(atomicLoad(&bins[at])));
}

// Those that were brought: there is one stage behind.
fn amounts_at(first: u32, quad: u32) -> vec4f { return amounts[quad]; }

fn gather(first: u32, digit: u32, mass: u32) {
  atomicAdd(&own_bins[digit], mass & ((1u << HALF_BITS) - 1u));
  if ((mass >> HALF_BITS) != 0u) { atomicAdd(&own_bins[DIGITS + digit], mass >> HALF_BITS); }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = workgroup_index(workgroup, grid);
  let index = i / CHUNKS;
  let chunk = i % CHUNKS;
  let stage = stages[0];
  if (index >= sampler_count() || (stage == SETTLE && chunk != 0u)) { return; }
  let sampler = sampler_at(index);
  if (!needs(sampler, stage)) { return; }
  let behind = stage_behind(sampler, stage);
  if (behind != NO_STAGE) {
    for (var quad = local; quad < DIGITS / 4u; quad += WORKGROUP_SIZE) {
      let at = bins_of(index, behind) + 4u * quad;
      amounts[quad] = vec4f(amount(at), amount(at + 1u), amount(at + 2u), amount(at + 3u));
    }
  }
  var ends = Pick(-MOST_ADJUSTED, 0u, -MOST_ADJUSTED);
  for (var other = local; other < CHUNKS; other += WORKGROUP_SIZE) {
    let more = extremes[index * CHUNKS + other];
    ends = better(ends, Pick(more.x, 0u, -more.y));
  }
  let picked = pick_of_workgroup(local, ends);
  if (local == 0u) {
    let scale = scale_of(sampler, picked.score, -picked.other);
    let search = start_of(sampler, index, stage, scale);
    found = vec4u(search.limit, search.prefix, bitcast<u32>(scale.largest), bitcast<u32>(scale.factor));
    if (stage == SETTLE) { trail[index * 8u + 7u] = vec4u(found.z, found.w, found.x, 0u); }
    else if (chunk == 0u) { trail[index * 8u + stage] = vec4u(search.limit, search.prefix, bitcast<u32>(search.passed), bitcast<u32>(search.goal)); }
  }
  if (stage == SETTLE) { return; }
  workgroupBarrier();
  let scale = Scale(bitcast<f32>(found.z), bitcast<f32>(found.w));
  let first = bins_of(index, stage);
  for (var q = chunk * CHUNK4 + local; q < end_of(chunk); q += WORKGROUP_SIZE) {
    add(sampler, q, scale, found.x, found.y, stage, first);
  }
  workgroupBarrier();
  let next = bins_of(index, stage + 1u);
  for (var word = local; word < 2u * DIGITS; word += WORKGROUP_SIZE) {
    let sum = atomicLoad(&own_bins[word]);
    if (sum != 0u) { atomicAdd(&bins[first + word], sum); }
    if (chunk == 0u) { atomicStore(&bins[next + word], 0u); }
  }
}
