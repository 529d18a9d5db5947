// v[segment row, site, split, :] = x[row, split of K] · A(adapter of the row, site)      shapes and names as in lora-shrink
// One workgroup per segment, site and split of K. Its threads lie side by side over the ranks of the adapter and in lanes over K,
// as A does in memory: (K, rank). Lanes are then summed by halves. How many there are depends on the adapter's rank alone, so a
// row's sum is the same in any batch, and in segments of 1 to 4 rows.
// From outside: WIDTH4, STRIDE4, SITE_FIRST, SITES, SPLITS, SPLIT4; lib/step, lib/grid, lib/pool-*, lib/descriptors.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4f>;

var<workgroup> sums: array<vec4f, 4u * WORKGROUP_SIZE>;

fn accumulate(sum: vec4f, xs: vec4f, a0: vec4f, a1: vec4f, a2: vec4f, a3: vec4f) -> vec4f {
  return fma(vec4f(xs.w), a3, fma(vec4f(xs.z), a2, fma(vec4f(xs.y), a1, fma(vec4f(xs.x), a0, sum))));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = workgroup_index(workgroup, grid);
  let split = i % SPLITS;
  let site = i / SPLITS % SITES;
  let index = i / SPLITS / SITES;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let last = segment.row_count - 1u;
  let x0 = segment.row_start * STRIDE4;
  let x1 = (segment.row_start + min(1u, last)) * STRIDE4;
  let x2 = (segment.row_start + min(2u, last)) * STRIDE4;
  let x3 = (segment.row_start + last) * STRIDE4;
  let first = split * SPLIT4;
  let end = min(first + SPLIT4, WIDTH4);
  for (var p = 0u; p < segment.part_count; p++) {
    let d = descriptor_at(part_at(segment.part_start + p).slot, SITE_FIRST + site);
    let stride = d.rank / 4u;
    for (var quad0 = 0u; quad0 < stride; quad0 += WORKGROUP_SIZE) {
      let quads = min(stride - quad0, WORKGROUP_SIZE);
      let lanes = 1u << firstLeadingBit(WORKGROUP_SIZE / quads);
      let lane = local / quads;
      let quad = quad0 + local % quads;
      var sum0 = vec4f();
      var sum1 = vec4f();
      var sum2 = vec4f();
      var sum3 = vec4f();
      if (lane < lanes) {
        for (var k = first + lane; k < end; k += lanes) {
          let a = d.a + 4u * k * stride + quad;
          let a0 = unpack_quad(pool[a]);
          let a1 = unpack_quad(pool[a + stride]);
          let a2 = unpack_quad(pool[a + 2u * stride]);
          let a3 = unpack_quad(pool[a + 3u * stride]);
          sum0 = accumulate(sum0, x[x0 + k], a0, a1, a2, a3);
          if (last > 0u) {
            sum1 = accumulate(sum1, x[x1 + k], a0, a1, a2, a3);
            sum2 = accumulate(sum2, x[x2 + k], a0, a1, a2, a3);
            sum3 = accumulate(sum3, x[x3 + k], a0, a1, a2, a3);
          }
        }
      }
      sums[local] = sum0;
      sums[WORKGROUP_SIZE + local] = sum1;
      sums[2u * WORKGROUP_SIZE + local] = sum2;
      sums[3u * WORKGROUP_SIZE + local] = sum3;
      for (var reach = lanes / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if (lane < reach) {
          for (var row = 0u; row <= last; row++) { sums[row * WORKGROUP_SIZE + local] += sums[row * WORKGROUP_SIZE + local + reach * quads]; }
        }
      }
      if (lane == 0u) {
        let at = (((segment.v_row + p * segment.row_count) * SITES + site) * SPLITS + split) * rank_quads() + quad;
        let v_stride = SITES * SPLITS * rank_quads();
        for (var row = 0u; row <= last; row++) { v[at + row * v_stride] = sums[row * WORKGROUP_SIZE + local]; }
      }
      workgroupBarrier();   // the next ranks take the same memory
    }
  }
}
