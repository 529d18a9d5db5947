// The weights of a norm: those of the row's adapter where it saved any, else the base's, bound as `weight: array<vec4f>`. An adapter's
// descriptors say at word NORM_AT of its entries which vector they are (lib/descriptors); 0 is none. The other form: norm-base.
// From outside: NORM_AT, SITES_IN_MODEL; lib/step, lib/descriptors, lib/pool-*.
@group(0) @binding(4) var<storage, read> descriptors: array<u32>;
@group(0) @binding(5) var<storage, read> pool: array<PoolQuad>;

fn norm_of(row: u32) -> u32 { return descriptors[adapter_of(row) * SITES_IN_MODEL * 8u + NORM_AT]; }

fn weight_at(norm: u32, k: u32) -> vec4f {
  if (norm == 0u) { return weight[k]; }
  return vector_at(norm, k);
}
