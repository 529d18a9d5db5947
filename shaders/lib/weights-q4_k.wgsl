// Eight weights stored as q4_k: value = level * scale * s - minimum * t, scale and minimum for each 256 of a row, s and t, a byte each, for
// each 32; 4 bits of a level. Every product is exact, fused or not. See lib/blocks.
fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let part = half_at(scales_at + scales_at / 16u, i / 4u);
  let at = scales_at + i / 32u * 2u;
  let scale = scale_at(at) * f32(part & 255u);
  let minimum = scale_at(at + 1u) * f32(part >> 8u);
  return Eight(vec4f(nibbles_of(w)) * scale - minimum, vec4f(nibbles_of(w >> 16u)) * scale - minimum);
}
