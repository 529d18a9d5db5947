// Where each sampler cuts the vocabulary off: min-p (Nguyen et al., "Turning up the heat", 2024), top-k and top-p (Holtzman et al.,
// "The curious case of neural text degeneration", 2020), each over what is left. Nothing is sorted: lib/sampler makes of a logit how many
// steps it lies below the largest, 24 bits, and a cut is found as a radix sort would, 8 bits at a time: stages 0 to 2 by how many tokens
// each digit has, for top-k, stages 3 to 5 by how much mass, for top-p, and the last one writes the cut. A stage is a dispatch, since
// between workgroups there is no other barrier. Bins hold whole numbers: sums do not depend on their order.
// A kernel has `gather(first, digit, mass)`, which adds a token to the bins that start at `first`, and `amounts_at(first, quad)`, what is in 4
// of them.
// From outside: LOGITS_STRIDE4, VOCABULARY; lib/sampler.
const FIRST_BY_MASS = 3u;
const SETTLE = 6u;
const NO_STAGE = 0xffffffffu;
const DIGITS = 256u;
const HALF_BITS = 14u;   // half of a mass: 2^18 tokens of the largest mass do not overflow

// A search so far: of the tokens at most `limit` steps below, those whose leading digits are less than those of `prefix` amount
// to `passed`; the cut is where they amount to `goal`.
struct Search { limit: u32, prefix: u32, passed: f32, goal: f32 }

// The largest of a sampler's logits, and steps for each unit of their distance to it.
struct Scale { largest: f32, factor: f32 }

fn bins_of(index: u32, stage: u32) -> u32 { return (index * 3u + stage % 3u) * 2u * DIGITS; }
fn shift_of(stage: u32) -> u32 { return 16u - 8u * (stage % 3u); }

fn counts(sampler: Sampler) -> bool { return sampler.top_k != 0u && sampler.top_k < VOCABULARY; }
fn weighs(sampler: Sampler) -> bool { return sampler.top_p < 1.0; }

// Whether a sampler has a part in a stage.
fn needs(sampler: Sampler, stage: u32) -> bool {
  return (sampler.flags & FILTERS) != 0u && (stage == SETTLE || select(counts(sampler), weighs(sampler), stage >= FIRST_BY_MASS));
}

// The stage whose bins a stage goes on from; NO_STAGE: it begins.
fn stage_behind(sampler: Sampler, stage: u32) -> u32 {
  if (stage != FIRST_BY_MASS && stage != SETTLE) { return stage - 1u; }
  if (stage == SETTLE && weighs(sampler)) { return SETTLE - 1u; }
  return select(NO_STAGE, FIRST_BY_MASS - 1u, counts(sampler));
}

fn scale_of(sampler: Sampler, most: f32, least: f32) -> Scale {
  // finer steps where all logits fit: a high temperature must not make neighbours ties
  return Scale(most, max(sampler.inverse_temperature, 31.5 / max(most - least, 1.0e-18)));
}

// A stage's search, one digit further by what its bins hold. Sums of masses are rounded: one thread adds them, digit by digit, in every
// kernel that does.
fn after(sampler: Sampler, index: u32, stage: u32) -> Search {
  let before = trail[index * 8u + stage];
  let first = bins_of(index, stage);
  var passed = bitcast<f32>(before.z);
  var goal = bitcast<f32>(before.w);
  if (stage == FIRST_BY_MASS) {
    var total = 0.0;
    for (var quad = 0u; quad < DIGITS / 4u; quad++) {
      let more = amounts_at(first, quad);
      total = (((total + more.x) + more.y) + more.z) + more.w;
    }
    goal = total * sampler.top_p;
  }
  var digit = 0u;
  var more = vec4f();
  for (; digit < DIGITS - 1u; digit++) {
    more = more.yzwx;
    if (digit % 4u == 0u) { more = amounts_at(first, digit / 4u); }
    let next = passed + more.x;
    if (next >= goal) { break; }
    passed = next;
  }
  return Search(before.x, before.y | (digit << shift_of(stage)), passed, goal);
}

fn start_of(sampler: Sampler, index: u32, stage: u32, scale: Scale) -> Search {
  let depth = clamp(sampler.depth / sampler.inverse_temperature * scale.factor, 0.0, DEEPEST);
  let start = Search(u32(depth * STEPS), 0u, 0.0, f32(sampler.top_k));
  let behind = stage_behind(sampler, stage);
  if (behind == NO_STAGE) { return start; }
  let found = after(sampler, index, behind);
  if (stage != FIRST_BY_MASS && stage != SETTLE) { return found; }
  return Search(min(found.limit, found.prefix), start.prefix, start.passed, start.goal);
}

// Adds the tokens of a quad that take part in this stage to its bins.
fn add(sampler: Sampler, quad: u32, scale: Scale, limit: u32, prefix: u32, stage: u32, first: u32) {
  let values = bounded(adjusted(logits[sampler.row * LOGITS_STRIDE4 + quad], sampler, quad));
  let below = steps_below(values, scale.largest, scale.factor);
  let leading = vec4u(shift_of(stage) + 8u);
  let takes_part = in_vocabulary(quad) & (below <= vec4u(limit)) & ((below >> leading) == (vec4u(prefix) >> leading));
  for (var j = 0u; j < select(0u, 4u, any(takes_part)); j++) {
    if (!takes_part[j]) { continue; }
    var mass = 1u;
    if (stage >= FIRST_BY_MASS) { mass = u32(exp(-min((scale.largest - values[j]) * sampler.inverse_temperature, 80.0)) * 268435456.0 + 0.5); }   // 2^28
    gather(first, (below[j] >> shift_of(stage)) & (DIGITS - 1u), mass);
  }
}
