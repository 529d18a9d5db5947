// Four numbers of the pool (KV pages and adapter blocks), stored as f32.
alias PoolQuad = vec4f;

fn word_quads() -> u32 { return 1u; }   // quads that four words of 4 bytes take

fn unpack_quad(q: PoolQuad) -> vec4f { return q; }
fn pack_quad(v: vec4f) -> PoolQuad { return v; }

// Four f32 that lie in the pool as they are: the first quad of them and the last.
fn unpack_words(first: PoolQuad, last: PoolQuad) -> vec4f { return first; }
fn pack_words(v: vec4f, quad: u32) -> PoolQuad { return v; }
