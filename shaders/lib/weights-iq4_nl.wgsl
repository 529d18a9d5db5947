// Eight weights stored as iq4_nl: value = level * scale, a scale for each 32 of a row; a nibble stands for a level. See lib/blocks, lib/levels-iq4.
fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let scale = scale_at(scales_at + i / 4u);
  return Eight(levels_of(nibbles_of(w)) * scale, levels_of(nibbles_of(w >> 16u)) * scale);
}
