// Eight weights stored as q5_0: value = (level - 16) * scale, a scale for each 32 of a row; 4 bits of a level and one high bit. See lib/blocks.
fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let high = byte_at(scales_at + scales_at / 4u, i);
  let scale = scale_at(scales_at + i / 4u);
  return Eight(
    (vec4f(nibbles_of(w) | bits_of(high << 4u, 16u)) - 16.0) * scale,
    (vec4f(nibbles_of(w >> 16u) | bits_of(high, 16u)) - 16.0) * scale);
}
