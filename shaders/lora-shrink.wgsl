// v[segment row, site, split, :] = x[row, split of K] · A(adapter of the row, site)      x: (rows, STRIDE4 * 4)   A: (K, rank)
// One thread, or several that sum together (lib/sum-*), per segment, site and split of K; all sites of a projection group read the same
// x in one dispatch. They go through K for 8 ranks at a time: so all of them have work whatever an adapter's rank.
// ROWS is how many rows the step's segments have at most: 1 (decode of distinct adapters, BGMV in Punica's words) or 4 (prefill and
// shared adapters, SGMV); either sums in the same order. Chen et al., "Punica: multi-tenant LoRA serving", 2023.
// Loops around others test at their end: devices that run on the CPU go through one that tests at its start once more, and through all
// that is in it. That over K may have nothing to do, and gains nothing from it.
// The splits lie at fixed places in K and are written out, not summed: WGSL has no float atomics, and lora-expand reads them anyway.
// From outside: ROWS, WIDTH4, STRIDE4, SITE_FIRST, SITES, SPLITS, SPLIT4; lib/step, lib/grid, lib/pool-*, lib/descriptors, lib/sum-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4f>;

// Four columns of x against four rows of A: a quad of ranks each.
struct Four { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

fn load_four(at: u32, stride: u32) -> Four {
  return Four(unpack_quad(pool[at]), unpack_quad(pool[at + stride]), unpack_quad(pool[at + 2u * stride]), unpack_quad(pool[at + 3u * stride]));
}

fn accumulate(sum: vec4f, xs: vec4f, w: Four) -> vec4f {
  return fma(vec4f(xs.w), w.d, fma(vec4f(xs.z), w.c, fma(vec4f(xs.y), w.b, fma(vec4f(xs.x), w.a, sum))));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = summing_index(workgroup, grid, local);
  let split = i % shape.splits;
  let site = i / shape.splits % shape.sites;
  let index = i / shape.splits / shape.sites;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let last = segment.row_count - 1u;
  let x0 = segment.row_start * shape.stride4;
  let x1 = x0 + min(1u, last) * shape.stride4;
  let x2 = x0 + min(2u, last) * shape.stride4;
  let x3 = x0 + last * shape.stride4;
  let first = split * shape.split4 + local % LANES;
  let end = min((split + 1u) * shape.split4, shape.width4);
  let quads = rank_quads();
  let v_stride = shape.sites * shape.splits * quads;
  var p = 0u;
  loop {
    let d = descriptor_at(part_at(segment.part_start + p).slot, shape.site_first + site);
    let stride = d.rank / 4u;
    let at = (((segment.v_row + p * segment.row_count) * shape.sites + site) * shape.splits + split) * quads;
    if (stride == 0u) { continue; }
    var quad = 0u;
    loop {
      let a = d.a + quad;
      let b = d.a + min(quad + 1u, stride - 1u);
      var s0 = vec4f();
      var t0 = vec4f();
      var s1 = vec4f();
      var t1 = vec4f();
      var s2 = vec4f();
      var t2 = vec4f();
      var s3 = vec4f();
      var t3 = vec4f();
      for (var k = first; k < end; k += LANES) {
        let wa = load_four(a + 4u * k * stride, stride);
        let wb = load_four(b + 4u * k * stride, stride);
        let xs0 = x[x0 + k];
        s0 = accumulate(s0, xs0, wa);
        t0 = accumulate(t0, xs0, wb);
        if (ROWS > 1u) {
          let xs1 = x[x1 + k];
          s1 = accumulate(s1, xs1, wa);
          t1 = accumulate(t1, xs1, wb);
          let xs2 = x[x2 + k];
          s2 = accumulate(s2, xs2, wa);
          t2 = accumulate(t2, xs2, wb);
          let xs3 = x[x3 + k];
          s3 = accumulate(s3, xs3, wa);
          t3 = accumulate(t3, xs3, wb);
        }
      }
      keep(0u, s0);
      keep(1u, t0);
      if (ROWS > 1u) {
        keep(2u, s1);
        keep(3u, t1);
        keep(4u, s2);
        keep(5u, t2);
        keep(6u, s3);
        keep(7u, t3);
      }
      store_sums(at + quad, v_stride, last, quad + 1u < stride, local);
      continuing { quad += 2u; break if quad >= stride; }
    }
    continuing { p++; break if p >= segment.part_count; }
  }
}
