// Four numbers of the pool (KV pages and adapter blocks), stored as f16 pairs. Beyond ±65504 pack2x16float is undefined.
alias PoolQuad = vec2u;

fn unpack_quad(q: PoolQuad) -> vec4f { return vec4f(unpack2x16float(q.x), unpack2x16float(q.y)); }

fn pack_quad(v: vec4f) -> PoolQuad {
  let c = clamp(v, vec4f(-65504.0), vec4f(65504.0));
  return vec2u(pack2x16float(c.xy), pack2x16float(c.zw));
}
