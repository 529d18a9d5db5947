// Best candidate of each chunk of the vocabulary, per sampler.      logits: (logit rows, LOGITS_STRIDE4 * 4)   best: (samplers, CHUNKS)
// One thread per sampler and chunk of CHUNK4 * 4 tokens. Greedy takes the largest logit; a temperature adds Gumbel noise, so
// that the largest sum is a draw from the softmax (Gumbel, 1954; Maddison et al., "A* sampling", 2014). Ties go to the lowest id.
// A NaN or an infinity is found on its exponent bits, since WGSL may assume that there are none, and poisons the candidate.
// From outside: VOCABULARY, LOGITS_STRIDE4, CHUNKS, CHUNK4; lib/step, lib/grid, lib/philox.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> best: array<vec4u>;   // score bits, token, poisoned, 0

const EXPONENT = 0x7f800000u;

// -log(-log(u)) of 4 uniform numbers in (0, 1), drawn for this token quad, position and seed.
fn gumbel(quad: u32, position: u32, seed: vec2u) -> vec4f {
  let words = philox(vec4u(quad, position, 0u, 0u), seed);
  let u = (vec4f(words >> vec4u(9u)) + 0.5) * 1.1920928955078125e-7;   // 2^-23; one bit more would round the largest to 1
  // WGSL's log may be off by 2^-21 near 1, which is more than log(u) itself there: its series instead (1 - u is exact)
  let rest = 1.0 - u;
  return -log(select(-log(u), rest + rest * rest * (0.5 + rest / 3.0), rest < vec4f(0.015625)));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let sampler_index = i / CHUNKS;
  let chunk = i % CHUNKS;
  if (sampler_index >= sampler_count()) { return; }
  let record = sampler_at(sampler_index);
  let row = step[record];
  let inverse_temperature = bitcast<f32>(step[record + 2u]);   // 0: greedy
  let seed = vec2u(step[record + 3u], step[record + 4u]);
  let position = step[record + 5u];
  var top = -3.4028234e38;
  var token = chunk * CHUNK4 * 4u;
  var poisoned = 0u;
  for (var q = chunk * CHUNK4; q < min((chunk + 1u) * CHUNK4, (VOCABULARY + 3u) / 4u); q++) {
    let values = logits[row * LOGITS_STRIDE4 + q];
    var candidates = values;
    if (inverse_temperature != 0.0) { candidates = values * inverse_temperature + gumbel(q, position, seed); }
    for (var j = 0u; j < 4u; j++) {
      if (q * 4u + j >= VOCABULARY) { break; }
      if ((bitcast<u32>(values[j]) & EXPONENT) == EXPONENT) { poisoned = 1u; }
      if (candidates[j] > top) {
        top = candidates[j];
        token = q * 4u + j;
      }
    }
  }
  best[i] = vec4u(bitcast<u32>(top), token, poisoned, 0u);
}
