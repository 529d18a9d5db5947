// v[segment row, site, split, :] = x[row, split of K] · A(adapter of the row, site)      shapes and names as in lora-shrink
// The plain loop: one thread per segment, site, split and rank. See plain-matmul.
// From outside: WIDTH4, STRIDE4, SITE_FIRST, SITES, SPLITS, SPLIT4; lib/step, lib/grid, lib/pool-*, lib/descriptors.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;

// Number i of a matrix that starts at a quad of the pool.
fn number_at(first: u32, i: u32) -> f32 {
  var quad = unpack_quad(pool[first + i / 4u]);
  return quad[i % 4u];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let ranks = rank_quads() * 4u;
  let rank = i % ranks;
  let split = i / ranks % SPLITS;
  let site = i / ranks / SPLITS % SITES;
  let index = i / ranks / SPLITS / SITES;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let first = split * SPLIT4 * 4u;
  let end = min(first + SPLIT4 * 4u, WIDTH4 * 4u);
  for (var p = 0u; p < segment.part_count; p++) {
    let d = descriptor_at(part_at(segment.part_start + p).slot, SITE_FIRST + site);
    if (rank >= d.rank) { continue; }
    for (var row = 0u; row < segment.row_count; row++) {
      var sum = 0.0;
      for (var k = first; k < end; k++) {
        sum += x[(segment.row_start + row) * STRIDE4 * 4u + k] * number_at(d.a, k * d.rank + rank);
      }
      let v_row = segment.v_row + p * segment.row_count + row;
      v[((v_row * SITES + site) * SPLITS + split) * ranks + rank] = sum;
    }
  }
}
