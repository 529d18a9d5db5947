// v[segment row, site, split, :] = x[row, split of K] · A(adapter of the row, site)      x: (rows, STRIDE4 * 4)   A: (K, rank)
// One thread per segment, site, split of K and 4 ranks; all sites of a projection group read the same x in one dispatch.
// A segment of one row (decode, BGMV in Punica's words) and of up to 4 rows (prefill and shared adapters, SGMV) sum in the
// same order. The splits lie at fixed places in K and are written out, not summed: WGSL has no float atomics, and lora-expand
// reads them anyway. Chen et al., "Punica: multi-tenant LoRA serving", 2023.
// From outside: WIDTH4, STRIDE4, SITE_FIRST, SITES, SPLITS, SPLIT4; lib/step, lib/grid, lib/pool-*, lib/descriptors.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4f>;

fn accumulate(sum: vec4f, xs: vec4f, a0: vec4f, a1: vec4f, a2: vec4f, a3: vec4f) -> vec4f {
  return fma(vec4f(xs.w), a3, fma(vec4f(xs.z), a2, fma(vec4f(xs.y), a1, fma(vec4f(xs.x), a0, sum))));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let quads = rank_quads();
  let quad = i % quads;
  let split = i / quads % SPLITS;
  let site = i / quads / SPLITS % SITES;
  let index = i / quads / SPLITS / SITES;
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
    if (quad >= stride) { continue; }
    var sum0 = vec4f();
    var sum1 = vec4f();
    var sum2 = vec4f();
    var sum3 = vec4f();
    for (var k = first; k < end; k++) {
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
    let at = (((segment.v_row + p * segment.row_count) * SITES + site) * SPLITS + split) * quads + quad;
    let v_stride = SITES * SPLITS * quads;
    v[at] = sum0;
    if (last > 0u) { v[at + v_stride] = sum1; }
    if (last > 1u) { v[at + 2u * v_stride] = sum2; }
    if (last > 2u) { v[at + 3u * v_stride] = sum3; }
  }
}
