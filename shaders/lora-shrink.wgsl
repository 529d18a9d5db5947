// v[segment row, site, split, :] = x[row, split of K] · A(adapter of the row, site)      x: (rows, STRIDE4 * 4)   A: (K, rank)
// One thread per segment, site, split of K and 8 ranks; all sites of a projection group read the same x in one dispatch.
// A segment of one row (decode, BGMV in Punica's words) and of up to 4 rows (prefill and shared adapters, SGMV) sum in the
// same order, each in a loop of its own: devices that run on the CPU go through a branch whether or not it is taken.
// The splits lie at fixed places in K and are written out, not summed: WGSL has no float atomics, and lora-expand
// reads them anyway. Chen et al., "Punica: multi-tenant LoRA serving", 2023.
// From outside: WIDTH4, STRIDE4, SITE_FIRST, SITES, SPLITS, SPLIT4; lib/step, lib/grid, lib/pool-*, lib/descriptors.
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

// Both quads of a row, the second only where the adapter has it.
fn store(at: u32, has_second: bool, first: vec4f, second: vec4f) {
  v[at] = first;
  if (has_second) { v[at + 1u] = second; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let quads = rank_quads();
  let pairs = (quads + 1u) / 2u;
  let quad = i % pairs * 2u;
  let split = i / pairs % SPLITS;
  let site = i / pairs / SPLITS % SITES;
  let index = i / pairs / SPLITS / SITES;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let last = segment.row_count - 1u;
  let x0 = segment.row_start * STRIDE4;
  let x1 = (segment.row_start + min(1u, last)) * STRIDE4;
  let x2 = (segment.row_start + min(2u, last)) * STRIDE4;
  let x3 = (segment.row_start + last) * STRIDE4;
  let first = split * SPLIT4;
  let end = min(first + SPLIT4, WIDTH4);
  let v_stride = SITES * SPLITS * quads;
  for (var p = 0u; p < segment.part_count; p++) {
    let d = descriptor_at(part_at(segment.part_start + p).slot, SITE_FIRST + site);
    let stride = d.rank / 4u;
    if (quad >= stride) { continue; }
    let has_second = quad + 1u < stride;
    let a = d.a + quad;
    let b = d.a + min(quad + 1u, stride - 1u);
    let at = (((segment.v_row + p * segment.row_count) * SITES + site) * SPLITS + split) * quads + quad;
    var s0 = vec4f();
    var t0 = vec4f();
    if (last == 0u) {
      for (var k = first; k < end; k++) {
        let xs = x[x0 + k];
        s0 = accumulate(s0, xs, load_four(a + 4u * k * stride, stride));
        t0 = accumulate(t0, xs, load_four(b + 4u * k * stride, stride));
      }
    } else {
      var s1 = vec4f();
      var t1 = vec4f();
      var s2 = vec4f();
      var t2 = vec4f();
      var s3 = vec4f();
      var t3 = vec4f();
      for (var k = first; k < end; k++) {
        let wa = load_four(a + 4u * k * stride, stride);
        let wb = load_four(b + 4u * k * stride, stride);
        let xs0 = x[x0 + k];
        s0 = accumulate(s0, xs0, wa);
        t0 = accumulate(t0, xs0, wb);
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
      store(at + v_stride, has_second, s1, t1);
      if (last > 1u) { store(at + 2u * v_stride, has_second, s2, t2); }
      if (last > 2u) { store(at + 3u * v_stride, has_second, s3, t3); }
    }
    store(at, has_second, s0, t0);
  }
}
