// Eight weights stored as q2_k: value = level * scale * s - minimum * t, scale and minimum for each 256 of a row, s and t, a nibble each
// of a byte, for each 16; 2 bits of a level. Every product is exact, fused or not. See lib/blocks.
fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = half_at(0u, i);
  let part = byte_at(scales_at + scales_at / 8u, i / 2u);
  let at = scales_at + i / 32u * 2u;
  let scale = scale_at(at) * f32(part & 15u);
  let minimum = scale_at(at + 1u) * f32(part >> 4u);
  return Eight(vec4f(pairs_of(w, 3u)) * scale - minimum, vec4f(pairs_of(w >> 8u, 3u)) * scale - minimum);
}
