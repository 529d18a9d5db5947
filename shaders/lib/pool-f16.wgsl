// Four numbers of the pool (KV pages and adapter blocks), stored as f16 pairs. Beyond ±65504 pack2x16float is undefined; what is
// no number stays none, found on its exponent bits: a clamp may make a finite one of it, and an answer would go on with that.
alias PoolQuad = vec2u;
fn word_quads() -> u32 { return 2u; }   // quads that four words of 4 bytes take

fn unpack_quad(q: PoolQuad) -> vec4f { return vec4f(unpack2x16float(q.x), unpack2x16float(q.y)); }

fn pack_quad(v: vec4f) -> PoolQuad {
  let c = clamp(v, vec4f(-65504.0), vec4f(65504.0));
  let none = select(vec4u(), vec4u(0x7e00u, 0x7e000000u, 0x7e00u, 0x7e000000u), (bitcast<vec4u>(v) & vec4u(0x7f800000u)) == vec4u(0x7f800000u));
  return vec2u(pack2x16float(c.xy), pack2x16float(c.zw)) | vec2u(none.x | none.y, none.z | none.w);
}

// Four f32 that lie in the pool as they are: the first quad of them and the last.
fn unpack_words(first: PoolQuad, last: PoolQuad) -> vec4f { return bitcast<vec4f>(vec4u(first, last)); }
fn pack_words(v: vec4f, quad: u32) -> PoolQuad { return bitcast<vec2u>(select(v.xy, v.zw, quad == 1u)); }
