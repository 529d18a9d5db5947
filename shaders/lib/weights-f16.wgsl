// Eight weights of a plane bound as `weights: array<WeightWord>`, stored as f16. unpack2x16float needs no shader-f16.
// A value needs no scale: scales_at is given to all types and not read here.
alias WeightWord = vec4u;
struct Eight { lo: vec4f, hi: vec4f }

fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  return Eight(vec4f(unpack2x16float(w.x), unpack2x16float(w.y)), vec4f(unpack2x16float(w.z), unpack2x16float(w.w)));
}
