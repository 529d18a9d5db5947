// cap * tanh(x / cap): numbers kept between -cap and cap (Gemma 2: "Gemma 2: Improving open language models at a practical size", 2024).
// tanh(±10) is ±1 to f32's precision, and some devices' tanh overflows soon after. What is no number, or infinite, stays so, found on its
// exponent bits: a cap would make an answer of it.
fn softcapped(x: vec4f, cap: f32) -> vec4f {
  let none = (bitcast<vec4u>(x) & vec4u(0x7f800000u)) == vec4u(0x7f800000u);
  return select(cap * tanh(clamp(x / cap, vec4f(-10.0), vec4f(10.0))), x, none);
}
