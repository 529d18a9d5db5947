// Weighted sums over parts of the keys, each with its own maximum, merged in order of position
// (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018).
const LEAST = -1.6e38;     // a finite minimum: WGSL may assume that infinities do not occur, and differences are finite, too
const SPOILED = 1.6e38;    // stands for a score that is no number, or infinite: above all others, so that it stays the maximum
const EXPONENT = 0x7f800000u;
const NOT_A_NUMBER = 0x7fc00000u;

// A score, found on its exponent bits to be one before a maximum may lose it.
fn checked(score: f32) -> f32 { return select(score, SPOILED, (bitcast<u32>(score) & EXPONENT) == EXPONENT); }

// A weighted sum by the sum of its weights. NaN where a score was none: the sampler then fails this request alone.
fn quotient(value: vec4f, sum: f32, maximum: f32) -> vec4f {
  return bitcast<vec4f>(select(bitcast<vec4u>(value / sum), vec4u(NOT_A_NUMBER), maximum >= SPOILED));
}

// The maximum of both sides, and the factors of what was merged before and of what is merged now.
struct Merge { maximum: f32, before: f32, now: f32 }

fn merge_of(before: f32, now: f32) -> Merge {
  let maximum = max(before, now);
  return Merge(maximum, exp(before - maximum), exp(now - maximum));
}
