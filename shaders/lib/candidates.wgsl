// What a logit is worth to a sampler, and the best of some of them. Greedy takes the largest logit; a temperature adds Gumbel noise, so
// that the largest sum is a draw from the softmax (Gumbel, 1954; Maddison et al., "A* sampling", 2014). Ties go to the lowest id.
// A NaN or an infinity is found on its exponent bits, since WGSL may assume that there are none, and poisons the candidate.
// OPTIONS: some sampler of this step changes logits or leaves tokens out; without it that costs nothing.
// From outside: LOGITS_STRIDE4, OPTIONS; lib/sampler, lib/philox.
const EXPONENT = 0x7f800000u;
const LEAST = -3.4028234e38;

// -log(-log(u)) of 4 uniform numbers in (0, 1), drawn for this token quad, position and seed.
fn gumbel(quad: u32, position: u32, seed: vec2u) -> vec4f {
  let words = philox(vec4u(quad, position, 0u, 0u), seed);
  let u = (vec4f(words >> vec4u(9u)) + 0.5) * 1.1920928955078125e-7;   // 2^-23; one bit more would round the largest to 1
  // WGSL's log may be off by 2^-21 near 1, which is more than log(u) itself there: its series instead (1 - u is exact)
  let rest = 1.0 - u;
  return -log(select(-log(u), rest + rest * rest * (0.5 + rest / 3.0), rest < vec4f(0.015625)));
}

// Scores of tokens that a filter leaves out: below every other, the likeliest first, in case that rounding leaves all of them out.
fn left_out(below: vec4u) -> vec4f { return vec4f(-2.0e38) - vec4f(below) * 1.0e28; }

// Of every fourth token the best one so far, by its quad; `none`: a logit was no number.
struct Best { scores: vec4f, quads: vec4u, none: vec4u }

fn with_quad(best: Best, logits: vec4f, candidates: vec4f, quad: u32) -> Best {
  let is_in = in_vocabulary(quad);
  let is_none = (bitcast<vec4u>(logits) & vec4u(EXPONENT)) == vec4u(EXPONENT);
  let is_best = is_in & (candidates > best.scores);
  let none = best.none | select(vec4u(), vec4u(is_none), is_in);
  return Best(select(best.scores, candidates, is_best), select(best.quads, vec4u(quad), is_best), none);
}

// What `adjusted` makes of logits, where some sampler of this step wants that.
fn changed(logits: vec4f, sampler: Sampler, quad: u32) -> vec4f {
  if (OPTIONS) { return adjusted(logits, sampler, quad); }
  return logits;
}

// Logits as a sampler with a temperature draws from them; `cut` as sample-digit left it.
fn noisy(logits: vec4f, sampler: Sampler, cut: vec4u, quad: u32) -> vec4f {
  let scores = bounded(logits);
  let candidates = fma(scores, vec4f(sampler.inverse_temperature), gumbel(quad, sampler.position, sampler.seed));
  if (OPTIONS && (sampler.flags & FILTERS) != 0u) {
    let below = steps_below(scores, bitcast<f32>(cut.x), bitcast<f32>(cut.y));
    return select(left_out(below), candidates, below <= vec4u(cut.z));
  }
  return candidates;
}

// The best candidate of quads `first`, `first + stride` and so on below `end`, as `best` holds it; of none, or where all are as low as
// a number can be, the first token.
fn best_among(index: u32, first: u32, end: u32, stride: u32) -> vec4u {
  let sampler = sampler_at(index);
  let row = sampler.row * LOGITS_STRIDE4;
  let is_drawn = sampler.inverse_temperature != 0.0;
  var cut = vec4u();
  if (OPTIONS && (sampler.flags & FILTERS) != 0u) { cut = trail[index * 8u + 7u]; }
  var found = Best(vec4f(LEAST), vec4u(first), vec4u());
  // a loop for each kind: where threads go through an `if` together, one in the loop would have all of them pay for noise
  for (var q = select(first, end, is_drawn); q < end; q += stride) {
    let values = logits[row + q];
    found = with_quad(found, values, changed(values, sampler, q), q);
  }
  for (var q = select(end, first, is_drawn); q < end; q += stride) {
    let values = logits[row + q];
    found = with_quad(found, values, noisy(changed(values, sampler, q), sampler, cut, q), q);
  }
  var top = found.scores.x;
  var token = found.quads.x * 4u;
  for (var j = 1u; j < 4u; j++) {
    let other = found.quads[j] * 4u + j;
    if (found.scores[j] > top || (found.scores[j] == top && other < token)) {
      top = found.scores[j];
      token = other;
    }
  }
  var poisoned = 0u;
  if (any(found.none != vec4u())) { poisoned = 1u; }
  return vec4u(bitcast<u32>(top), token, poisoned, 0u);
}
