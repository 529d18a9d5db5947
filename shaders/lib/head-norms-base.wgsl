// The weights of the norms of heads, of q or of k, bound as `vectors: array<vec4f>` from quad `first` on: the base's for every row. The other
// form, head-norms-saved, takes what this does not read.
// From outside: Q_NORM_AT, K_NORM_AT, SITES_IN_MODEL.
fn head_norm_of(row: u32, is_query: bool) -> u32 { return 0u; }
fn head_weight_at(norm: u32, d: u32, first: u32) -> vec4f { return vectors[first + d]; }
