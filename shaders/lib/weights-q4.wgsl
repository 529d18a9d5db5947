// Eight weights of a plane bound as `weights: array<WeightWord>`, stored as q4: value = (nibble - 8) * scale, a scale for each 32
// of a row. Weight k of the eight is bits 4k to 4k + 3. Values first, the scales (f32) from word scales_at on.
alias WeightWord = u32;
struct Eight { lo: vec4f, hi: vec4f }

fn nibbles_of(word: u32) -> vec4f {
  return vec4f((vec4u(word) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u));
}

fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let scale = bitcast<f32>(weights[scales_at + i / 4u]);
  return Eight((nibbles_of(w) - 8.0) * scale, (nibbles_of(w >> 16u) - 8.0) * scale);
}
