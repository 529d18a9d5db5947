// A sampler's record, and what it does to logits before a token is drawn. Logits are never changed in place, since JS may read
// them: every kernel that needs the changed ones computes them alike, from the logits and `adjust: array<vec4u>`, which holds
// two words for each state slot and token: how often it was generated, with IN_PROMPT where the prompt has it, and its bias.
// From outside: VOCABULARY.
struct Sampler {
  row: u32, slot: u32,
  inverse_temperature: f32,   // 0: greedy
  seed: vec2u, position: u32,
  flags: u32,
  top_k: u32, top_p: f32,
  depth: f32,                 // min-p as a distance below the largest logit, in nats
  repetition: f32, presence: f32, frequency: f32,
}

const ADJUSTS = 1u;
const FILTERS = 2u;
const IN_PROMPT = 0x80000000u;
// Finite, and so far apart that no later factor (a penalty up to 1e12, 1 / temperature up to 1e5) can lead to an infinity.
const MOST_BIASED = 1.0e20;
const MOST_ADJUSTED = 1.0e33;
// 32 nats, in steps of 2^-19: what lies further below the largest logit can not be drawn, since Gumbel noise spans less than 20.
const DEEPEST = 31.999998;
const STEPS = 524288.0;

fn sampler_at(i: u32) -> Sampler {
  let at = record_at(i);
  return Sampler(step[at], step[at + 1u], bitcast<f32>(step[at + 2u]), vec2u(step[at + 3u], step[at + 4u]), step[at + 5u],
    step[at + 6u], step[at + 7u], bitcast<f32>(step[at + 8u]), bitcast<f32>(step[at + 9u]),
    bitcast<f32>(step[at + 10u]), bitcast<f32>(step[at + 11u]), bitcast<f32>(step[at + 12u]));
}

// Logits of tokens 4 * quad to 4 * quad + 3 with bias, then penalties: repetition (Keskar et al., "CTRL", 2019) for what the prompt
// or the answer has, frequency and presence for what the answer has. Explicit fma: kernels must not round differently.
fn adjusted(logits: vec4f, sampler: Sampler, quad: u32) -> vec4f {
  if ((sampler.flags & ADJUSTS) == 0u) { return logits; }
  let at = (sampler.slot * ((VOCABULARY + 3u) / 4u) + quad) * 2u;
  let a = adjust[at];
  let b = adjust[at + 1u];
  let seen = vec4u(a.x, a.z, b.x, b.z);
  let times = vec4f(seen & vec4u(~IN_PROMPT));
  let biased = clamp(logits + bitcast<vec4f>(vec4u(a.y, a.w, b.y, b.w)), vec4f(-MOST_BIASED), vec4f(MOST_BIASED));
  let repeated = select(biased * sampler.repetition, biased / sampler.repetition, biased > vec4f());
  let once = fma(vec4f(-sampler.presence), min(times, vec4f(1.0)), select(biased, repeated, seen != vec4u()));
  return fma(vec4f(-sampler.frequency), times, once);
}

fn bounded(logits: vec4f) -> vec4f { return clamp(logits, vec4f(-MOST_ADJUSTED), vec4f(MOST_ADJUSTED)); }

fn in_vocabulary(quad: u32) -> vec4<bool> { return vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u) < vec4u(VOCABULARY); }

// How many steps logits lie below the largest one: the same order, as whole numbers that can be sorted digit by digit. Logits less
// than a step apart are ties.
fn steps_below(logits: vec4f, largest: f32, scale: f32) -> vec4u {
  return vec4u(clamp((vec4f(largest) - logits) * scale, vec4f(), vec4f(DEEPEST)) * STEPS);
}
