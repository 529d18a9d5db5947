// Four numbers of the pool (KV pages and adapter blocks), stored as f32.
alias PoolQuad = vec4f;

fn unpack_quad(q: PoolQuad) -> vec4f { return q; }
fn pack_quad(v: vec4f) -> PoolQuad { return v; }
