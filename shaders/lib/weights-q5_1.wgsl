// Eight weights stored as q5_1: value = level * scale + minimum, both for each 32 of a row; 4 bits of a level and one high bit. See lib/blocks.
fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let high = byte_at(scales_at + scales_at / 2u, i);
  let at = scales_at + i / 4u * 2u;
  let scale = scale_at(at);
  let minimum = scale_at(at + 1u);
  return Eight(
    vec4f(nibbles_of(w) | bits_of(high << 4u, 16u)) * scale + minimum,
    vec4f(nibbles_of(w >> 16u) | bits_of(high, 16u)) * scale + minimum);
}
