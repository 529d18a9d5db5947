// Eight weights stored as q3_k: value = (level - 4) * scale * (s - 32), a scale for each 256 of a row, s, a byte, for each 16; 2 bits of a
// level and one high bit. Every product is exact. See lib/blocks.
fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = half_at(0u, i);
  let parts = scales_at + scales_at / 16u;
  let high = byte_at(parts + scales_at / 4u, i);
  let scale = scale_at(scales_at + i / 32u) * (f32(byte_at(parts, i / 2u)) - 32.0);
  return Eight(
    (vec4f(pairs_of(w, 3u) | bits_of(high << 2u, 4u)) - 4.0) * scale,
    (vec4f(pairs_of(w >> 8u, 3u) | bits_of(high >> 2u, 4u)) - 4.0) * scale);
}
