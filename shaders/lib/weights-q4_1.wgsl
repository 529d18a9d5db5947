// Eight weights of a plane bound as `weights: array<WeightWord>`, stored as q4_1: value = nibble * scale + minimum, both for each 32
// of a row. Weight k of the eight is bits 4k to 4k + 3. Values first, from word scales_at on scale and minimum (f32) in turn.
// A scale has at most 20 significant bits: the product is exact, so a compiler that fuses it with the sum changes nothing.
alias WeightWord = u32;
struct Eight { lo: vec4f, hi: vec4f }

fn nibbles_of(word: u32) -> vec4f {
  return vec4f((vec4u(word) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u));
}

fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let at = scales_at + i / 4u * 2u;
  let scale = bitcast<f32>(weights[at]);
  let minimum = bitcast<f32>(weights[at + 1u]);
  return Eight(nibbles_of(w) * scale + minimum, nibbles_of(w >> 16u) * scale + minimum);
}
