// y[row, site's columns] += scale * v[segment row, site] · B(adapter of the row, site)      shapes and names as in lora-expand
// The plain loop: one thread per segment and column. See plain-matmul.
// From outside: OUT4, Y_STRIDE4, SITE_FIRST, SITES, SPLITS, EVEN, FINISH; lib/step, lib/grid, lib/pool-*, lib/descriptors.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const_assert !EVEN || OUT4 % 4u == 0u;   // what it promises; only lora-expand gains by it

// Number i of a matrix that starts at a quad of the pool.
fn number_at(first: u32, i: u32) -> f32 {
  var quad = unpack_quad(pool[first + i / 4u]);
  return quad[i % 4u];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let index = i / (OUT4 * 4u);
  let n = i % (OUT4 * 4u);
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let ranks = rank_quads() * 4u;
  for (var p = 0u; p < segment.part_count; p++) {
    let part = part_at(segment.part_start + p);
    for (var site = 0u; site < SITES; site++) {
      let d = descriptor_at(part.slot, SITE_FIRST + site);
      if (n < d.out_start || n - d.out_start >= d.out_count) { continue; }
      for (var row = 0u; row < segment.row_count; row++) {
        let v_row = segment.v_row + p * segment.row_count + row;
        var sum = 0.0;
        for (var rank = 0u; rank < d.rank; rank++) {
          var shrunk = 0.0;
          for (var split = 0u; split < SPLITS; split++) { shrunk += v[((v_row * SITES + site) * SPLITS + split) * ranks + rank]; }
          sum += shrunk * number_at(d.b, rank * d.out_count + n - d.out_start);
        }
        let at = (segment.row_start + row) * Y_STRIDE4 * 4u + n;
        let lane = n - d.out_start;
        let change = part.scale * d.scale * sum;
        var result = vec4f(y[at] + change);
        if (FINISH) { result = changed(vec4f(y[at]), vec4f(change), d, lane / 4u); }
        y[at] = result[lane % 4u];
      }
    }
  }
}
