// Eight weights of a plane bound as `weights: array<WeightWord>`, stored as bf16: the upper half of an f32.
// A value needs no scale: scales_at is given to all types and not read here.
alias WeightWord = vec4u;
struct Eight { lo: vec4f, hi: vec4f }

fn load_weights(i: u32, scales_at: u32) -> Eight {
  let w = weights[i];
  let even = bitcast<vec4f>(w << vec4u(16u));
  let odd = bitcast<vec4f>(w & vec4u(0xffff0000u));
  return Eight(vec4f(even.x, odd.x, even.y, odd.y), vec4f(even.z, odd.z, even.w, odd.w));
}
