// Eight weights of a plane bound as `weights: array<WeightWord>`, stored as f32.
// A value needs no scale: scales_at is given to all types and not read here.
alias WeightWord = vec4u;
struct Eight { lo: vec4f, hi: vec4f }

fn load_weights(i: u32, scales_at: u32) -> Eight {
  return Eight(bitcast<vec4f>(weights[2u * i]), bitcast<vec4f>(weights[2u * i + 1u]));
}
