// Eight weights stored as iq4_xs: value = level * scale * (s - 32), a scale for each 256 of a row, s, a byte, for each 32; a nibble stands
// for a level. Every product is exact. See lib/blocks, lib/levels-iq4.
fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let scale = scale_at(scales_at + i / 32u) * (f32(byte_at(scales_at + scales_at / 32u, i / 4u)) - 32.0);
  return Eight(levels_of(nibbles_of(w)) * scale, levels_of(nibbles_of(w >> 16u)) * scale);
}
