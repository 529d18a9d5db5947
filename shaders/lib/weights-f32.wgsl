// Eight weights of a plane bound as `weights: array<vec4u>`, stored as f32.
struct Eight { lo: vec4f, hi: vec4f }

fn load_weights(i: u32) -> Eight {
  return Eight(bitcast<vec4f>(weights[2u * i]), bitcast<vec4f>(weights[2u * i + 1u]));
}
