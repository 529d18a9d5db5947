// Eight weights of a plane bound as `weights: array<WeightWord>`, stored as q8: value = i8 * scale, a scale for each 32 of a row.
// Values first, the scales (f32) from word scales_at on. A byte's sign comes from shifts: not every compiler has unpack4xI8.
alias WeightWord = vec2u;
struct Eight { lo: vec4f, hi: vec4f }

fn bytes_of(word: u32) -> vec4f {
  return vec4f(vec4i(vec4u(word) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u));
}

fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let pair = weights[scales_at + i / 8u];
  let scale = bitcast<f32>(select(pair.x, pair.y, (i & 4u) != 0u));
  return Eight(bytes_of(w.x) * scale, bytes_of(w.y) * scale);
}
