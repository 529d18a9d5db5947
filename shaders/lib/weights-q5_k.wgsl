// Eight weights stored as q5_k: as q4_k, with one high bit of a level. See lib/blocks.
fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let parts = scales_at + scales_at / 16u;
  let high = byte_at(parts + scales_at / 8u, i);
  let part = half_at(parts, i / 4u);
  let at = scales_at + i / 32u * 2u;
  let scale = scale_at(at) * f32(part & 255u);
  let minimum = scale_at(at + 1u) * f32(part >> 8u);
  return Eight(
    vec4f(nibbles_of(w) | bits_of(high << 4u, 16u)) * scale - minimum,
    vec4f(nibbles_of(w >> 16u) | bits_of(high, 16u)) * scale - minimum);
}
