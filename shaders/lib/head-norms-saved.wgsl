// The weights of the norms of heads: those of the row's adapter where it saved any, else the base's (see head-norms-base). An adapter's
// descriptors say at words Q_NORM_AT and K_NORM_AT of its entries which vectors they are (lib/descriptors); 0 is none.
// From outside: Q_NORM_AT, K_NORM_AT, SITES_IN_MODEL; lib/step, lib/descriptors, lib/pool-*.
@group(0) @binding(7) var<storage, read> descriptors: array<u32>;

fn head_norm_of(row: u32, is_query: bool) -> u32 {
  return descriptors[adapter_of(row) * SITES_IN_MODEL * 8u + select(K_NORM_AT, Q_NORM_AT, is_query)];
}

fn head_weight_at(norm: u32, d: u32, first: u32) -> vec4f {
  if (norm == 0u) { return vectors[first + d]; }
  return vector_at(norm, d);
}
