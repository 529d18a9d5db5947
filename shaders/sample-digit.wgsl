// Where each sampler cuts the vocabulary off: min-p (Nguyen et al., "Turning up the heat", 2024), top-k and top-p (Holtzman et al.,
// "The curious case of neural text degeneration", 2020), each over what is left.      trail: (samplers, 8)
// One thread per sampler and chunk of CHUNK4 * 4 tokens. Nothing is sorted: lib/sampler makes of a logit how many steps it lies
// below the largest, 24 bits, and a cut is found as a radix sort would, 8 bits at a time: stages 0 to 2 by how many tokens each
// digit has, for top-k, stages 3 to 5 by how much mass, for top-p, and the last one writes the cut. A stage is a dispatch of
// this kernel, since between workgroups there is no other barrier. Bins hold whole numbers: sums do not depend on their order.
// From outside: LOGITS_STRIDE4, CHUNKS, CHUNK4; lib/step, lib/sampler, lib/grid.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> stages: array<u32>;   // this dispatch's stage
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read> adjust: array<vec4u>;
@group(0) @binding(4) var<storage, read> extremes: array<vec2f>;
// Of each stage in turn: a sampler's counts, or the low 14 bits of its masses, by digit, then the high bits of the masses.
@group(0) @binding(5) var<storage, read_write> bins: array<atomic<u32>>;   // (samplers, 3, 512)
// What each stage starts from; in the last place what sample-chunk reads: largest logit, scale (f32 bits) and cut.
@group(0) @binding(6) var<storage, read_write> trail: array<vec4u>;

const FIRST_BY_MASS = 3u;
const SETTLE = 6u;
const DIGITS = 256u;
const HALF_BITS = 14u;   // half of a mass: 2^18 tokens of the largest mass do not overflow

// A search so far: of the tokens at most `limit` steps below, those whose leading digits are less than those of `prefix` amount
// to `passed`; the cut is where they amount to `goal`.
struct Search { limit: u32, prefix: u32, passed: f32, goal: f32 }

// The largest of a sampler's logits, and steps for each unit of their distance to it.
struct Scale { largest: f32, factor: f32 }

fn bins_of(index: u32, stage: u32) -> u32 { return (index * 3u + stage % 3u) * 2u * DIGITS; }
fn shift_of(stage: u32) -> u32 { return 16u - 8u * (stage % 3u); }

fn amount(at: u32) -> f32 {
  return fma(f32(atomicLoad(&bins[at + DIGITS])), f32(1u << HALF_BITS), f32(atomicLoad(&bins[at])));
}

fn scale_of(sampler: Sampler, index: u32) -> Scale {
  var found = extremes[index * CHUNKS];
  for (var chunk = 1u; chunk < CHUNKS; chunk++) {
    let more = extremes[index * CHUNKS + chunk];
    found = vec2f(max(found.x, more.x), min(found.y, more.y));
  }
  // finer steps where all logits fit: a high temperature must not make neighbours ties
  return Scale(found.x, max(sampler.inverse_temperature, 31.5 / max(found.x - found.y, 1.0e-18)));
}

// A stage's search, one digit further by what its bins hold.
fn after(sampler: Sampler, index: u32, stage: u32) -> Search {
  let before = trail[index * 8u + stage];
  let first = bins_of(index, stage);
  var passed = bitcast<f32>(before.z);
  var goal = bitcast<f32>(before.w);
  if (stage == FIRST_BY_MASS) {
    var total = 0.0;
    for (var digit = 0u; digit < DIGITS; digit++) { total += amount(first + digit); }
    goal = total * sampler.top_p;
  }
  var digit = 0u;
  for (; digit < DIGITS - 1u; digit++) {
    let next = passed + amount(first + digit);
    if (next >= goal) { break; }
    passed = next;
  }
  return Search(before.x, before.y | (digit << shift_of(stage)), passed, goal);
}

fn cut_of(search: Search) -> u32 { return min(search.limit, search.prefix); }

fn start_of(sampler: Sampler, index: u32, stage: u32, scale: Scale) -> Search {
  let depth = clamp(sampler.depth / sampler.inverse_temperature * scale.factor, 0.0, DEEPEST);
  var start = Search(u32(depth * STEPS), 0u, 0.0, f32(sampler.top_k));
  if (stage == 0u) { return start; }
  if (stage != FIRST_BY_MASS && stage != SETTLE) { return after(sampler, index, stage - 1u); }
  if (stage == SETTLE && weighs(sampler)) { start.limit = cut_of(after(sampler, index, SETTLE - 1u)); }
  else if (counts(sampler)) { start.limit = cut_of(after(sampler, index, FIRST_BY_MASS - 1u)); }
  return start;
}

fn counts(sampler: Sampler) -> bool { return sampler.top_k != 0u && sampler.top_k < VOCABULARY; }
fn weighs(sampler: Sampler) -> bool { return sampler.top_p < 1.0; }

// Adds the tokens of a quad that take part in this stage to its bins.
fn add(sampler: Sampler, quad: u32, scale: Scale, search: Search, stage: u32, first: u32) {
  let values = bounded(adjusted(logits[sampler.row * LOGITS_STRIDE4 + quad], sampler, quad));
  let below = steps_below(values, scale.largest, scale.factor);
  let leading = vec4u(shift_of(stage) + 8u);
  let takes_part = in_vocabulary(quad) & (below <= vec4u(search.limit)) & ((below >> leading) == (vec4u(search.prefix) >> leading));
  for (var j = 0u; j < select(0u, 4u, any(takes_part)); j++) {
    if (!takes_part[j]) { continue; }
    var mass = 1u;
    if (stage >= FIRST_BY_MASS) { mass = u32(exp(-min((scale.largest - values[j]) * sampler.inverse_temperature, 80.0)) * 268435456.0 + 0.5); }   // 2^28
    let at = first + ((below[j] >> shift_of(stage)) & (DIGITS - 1u));
    atomicAdd(&bins[at], mass & ((1u << HALF_BITS) - 1u));
    if ((mass >> HALF_BITS) != 0u) { atomicAdd(&bins[at + DIGITS], mass >> HALF_BITS); }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let index = i / CHUNKS;
  let chunk = i % CHUNKS;
  let stage = stages[0];
  if (index >= sampler_count() || (stage == SETTLE && chunk != 0u)) { return; }
  let sampler = sampler_at(index);
  if ((sampler.flags & FILTERS) == 0u) { return; }
  if (stage != SETTLE && !select(counts(sampler), weighs(sampler), stage >= FIRST_BY_MASS)) { return; }
  let scale = scale_of(sampler, index);
  let search = start_of(sampler, index, stage, scale);
  if (stage == SETTLE) {
    trail[index * 8u + 7u] = vec4u(bitcast<u32>(scale.largest), bitcast<u32>(scale.factor), search.limit, 0u);
    return;
  }
  if (chunk == 0u) { trail[index * 8u + stage] = vec4u(search.limit, search.prefix, bitcast<u32>(search.passed), bitcast<u32>(search.goal)); }
  let next = bins_of(index, stage + 1u);
  for (var word = chunk; word < 2u * DIGITS; word += CHUNKS) { atomicStore(&bins[next + word], 0u); }
  for (var q = chunk * CHUNK4; q < min((chunk + 1u) * CHUNK4, (VOCABULARY + 3u) / 4u); q++) {
    add(sampler, q, scale, search, stage, bins_of(index, stage));
  }
}
