// Four numbers of an operand in workgroup memory, as f16: half the memory and half the traffic. Products and sums stay f32.
// What is no number stays none, found on its exponent bits: a clamp may make a finite one of it.
alias Staged = vec4<f16>;

fn stage(v: vec4f) -> Staged {
  let bits = bitcast<vec4u>(v);
  let clamped = bitcast<vec4u>(clamp(v, vec4f(-65504.0), vec4f(65504.0)));
  return vec4<f16>(bitcast<vec4f>(select(clamped, bits, (bits & vec4u(0x7f800000u)) == vec4u(0x7f800000u))));
}
fn unstage(v: Staged) -> vec4f { return vec4f(v); }
