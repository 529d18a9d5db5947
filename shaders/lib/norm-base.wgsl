// The weights of a norm, bound as `weight: array<vec4f>`: the base's for every row. The other form, norm-saved, takes what this does not read.
// From outside: NORM_AT, SITES_IN_MODEL.
fn norm_of(row: u32) -> u32 { return 0u; }
fn weight_at(norm: u32, k: u32) -> vec4f { return weight[k]; }
