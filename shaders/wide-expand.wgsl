// y[row, site's columns] += scale * v[segment row, site] · B(adapter of the row, site)      B: (rank, out)   y: (rows, Y_STRIDE4 * 4)
// Where the adapter has a gain or a bias for the site, y is multiplied by the one and the other is added: see lib/descriptors.
// One thread per segment and 4 columns; it finds the site that owns the columns, sums the splits that lora-shrink wrote, and
// adds every part of the segment in order. Adds into what the base matmul left in y.
// From outside: OUT4, Y_STRIDE4, SITE_FIRST, SITES, SPLITS, EVEN, FINISH; lib/step, lib/grid, lib/pool-*, lib/descriptors.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> v: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

const_assert !EVEN || OUT4 % 4u == 0u;   // what it promises; only lora-expand gains by it

fn sum_of_splits(at: u32, quads: u32) -> vec4f {
  var sum = v[at];
  for (var split = 1u; split < SPLITS; split++) { sum += v[at + split * quads]; }
  return sum;
}

fn accumulate(sum: vec4f, vs: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> vec4f {
  return fma(vec4f(vs.w), b3, fma(vec4f(vs.z), b2, fma(vec4f(vs.y), b1, fma(vec4f(vs.x), b0, sum))));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let index = i / OUT4;
  let n = i % OUT4;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let last = segment.row_count - 1u;
  let quads = rank_quads();
  let v_stride = SITES * SPLITS * quads;
  let y0 = segment.row_start * Y_STRIDE4 + n;
  for (var p = 0u; p < segment.part_count; p++) {
    let part = part_at(segment.part_start + p);
    for (var site = 0u; site < SITES; site++) {
      let d = descriptor_at(part.slot, SITE_FIRST + site);
      let start = d.out_start / 4u;
      let width = d.out_count / 4u;
      if (n < start || n - start >= width) { continue; }
      let v0 = ((segment.v_row + p * segment.row_count) * SITES + site) * SPLITS * quads;
      var sum0 = vec4f();
      var sum1 = vec4f();
      var sum2 = vec4f();
      var sum3 = vec4f();
      for (var q = 0u; q < d.rank / 4u; q++) {
        let b = d.b + 4u * q * width + (n - start);
        let b0 = unpack_quad(pool[b]);
        let b1 = unpack_quad(pool[b + width]);
        let b2 = unpack_quad(pool[b + 2u * width]);
        let b3 = unpack_quad(pool[b + 3u * width]);
        sum0 = accumulate(sum0, sum_of_splits(v0 + q, quads), b0, b1, b2, b3);
        if (last > 0u) {
          sum1 = accumulate(sum1, sum_of_splits(v0 + min(1u, last) * v_stride + q, quads), b0, b1, b2, b3);
          sum2 = accumulate(sum2, sum_of_splits(v0 + min(2u, last) * v_stride + q, quads), b0, b1, b2, b3);
          sum3 = accumulate(sum3, sum_of_splits(v0 + last * v_stride + q, quads), b0, b1, b2, b3);
        }
      }
      let scale = part.scale * d.scale;
      y[y0] += scale * sum0;
      if (last > 0u) { y[y0 + Y_STRIDE4] += scale * sum1; }
      if (last > 1u) { y[y0 + 2u * Y_STRIDE4] += scale * sum2; }
      if (last > 2u) { y[y0 + 3u * Y_STRIDE4] += scale * sum3; }
      if (FINISH && (d.gain | d.bias) != 0u) {
        for (var row = 0u; row <= last; row++) {
          let at = y0 + row * Y_STRIDE4;
          y[at] = changed(y[at], vec4f(), d, n - start);
        }
      }
    }
  }
}
