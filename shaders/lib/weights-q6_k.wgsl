// Eight weights stored as q6_k: value = (level - 32) * scale * s, a scale for each 256 of a row, s, a signed byte, for each 16; 4 bits of
// a level and two high bits. Every product is exact. See lib/blocks.
fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let parts = scales_at + scales_at / 32u;
  let high = half_at(parts + scales_at / 8u, i);
  let s = bitcast<i32>(byte_at(parts, i / 2u) << 24u) >> 24u;
  let scale = scale_at(scales_at + i / 32u) * f32(s);
  return Eight(
    (vec4f(nibbles_of(w) | pairs_of(high << 4u, 48u)) - 32.0) * scale,
    (vec4f(nibbles_of(w >> 16u) | pairs_of(high >> 4u, 48u)) - 32.0) * scale);
}
