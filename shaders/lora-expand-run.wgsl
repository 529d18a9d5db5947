// y[row, site's columns] += scale * v[segment row, site] · B(adapter of the row, site)      B: (rank, out)   y: (rows, Y_STRIDE4 * 4)
// What lora-expand computes, for devices that run on the CPU: one thread per segment and 16 columns, so that a load of v and what
// a thread has to find out serve four times as many. The thread looks for the site of its first column and takes what it has of
// that site; where its columns belong to two sites, another round takes the rest. A number of y is summed as in lora-expand.
// From outside: OUT4, Y_STRIDE4, SITE_FIRST, SITES, SPLITS; lib/step, lib/grid, lib/pool-*, lib/descriptors.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> v: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

// Quads of columns of one thread.
const RUN = 4u;
const ACROSS = (OUT4 + RUN - 1u) / RUN;

struct Four { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

// Four rows of B in one quad of columns.
fn load_four(at: u32, width: u32) -> Four {
  return Four(unpack_quad(pool[at]), unpack_quad(pool[at + width]), unpack_quad(pool[at + 2u * width]), unpack_quad(pool[at + 3u * width]));
}

fn sum_of_splits(at: u32, quads: u32) -> vec4f {
  var sum = v[at];
  for (var split = 1u; split < SPLITS; split++) { sum += v[at + split * quads]; }
  return sum;
}

fn accumulate(sum: vec4f, vs: vec4f, w: Four) -> vec4f {
  return fma(vec4f(vs.w), w.d, fma(vec4f(vs.z), w.c, fma(vec4f(vs.y), w.b, fma(vec4f(vs.x), w.a, sum))));
}

// The first `count` of four quads.
fn add(at: u32, count: u32, a: vec4f, b: vec4f, c: vec4f, d: vec4f) {
  y[at] += a;
  if (count > 1u) { y[at + 1u] += b; }
  if (count > 2u) { y[at + 2u] += c; }
  if (count > 3u) { y[at + 3u] += d; }
}

// The site that column quad n belongs to; SITES where the adapter changes none there.
fn site_of(slot: u32, n: u32) -> u32 {
  var found = SITES;
  for (var site = 0u; site < SITES; site++) {
    let at = (slot * SITES_IN_MODEL + SITE_FIRST + site) * 8u;
    let start = descriptors[at + 4u] / 4u;
    if (n >= start && n - start < descriptors[at + 5u] / 4u) { found = site; }
  }
  return found;
}

// Adds what a part of a segment does to the columns from quad n on, up to `most` of them and the end of their site; returns how many.
fn expand(segment: Segment, p: u32, site: u32, n: u32, most: u32) -> u32 {
  let part = part_at(segment.part_start + p);
  let it = descriptor_at(part.slot, SITE_FIRST + site);
  let width = it.out_count / 4u;
  let column = n - it.out_start / 4u;
  let count = min(most, width - column);
  let last = segment.row_count - 1u;
  let quads = rank_quads();
  let v0 = ((segment.v_row + p * segment.row_count) * SITES + site) * SPLITS * quads;
  let v_stride = SITES * SPLITS * quads;
  let at0 = it.b + column;
  let at1 = at0 + min(1u, count - 1u);
  let at2 = at0 + min(2u, count - 1u);
  let at3 = at0 + count - 1u;
  var a0 = vec4f();
  var b0 = vec4f();
  var c0 = vec4f();
  var d0 = vec4f();
  var a1 = vec4f();
  var b1 = vec4f();
  var c1 = vec4f();
  var d1 = vec4f();
  var a2 = vec4f();
  var b2 = vec4f();
  var c2 = vec4f();
  var d2 = vec4f();
  var a3 = vec4f();
  var b3 = vec4f();
  var c3 = vec4f();
  var d3 = vec4f();
  for (var q = 0u; q < it.rank / 4u; q++) {
    let row = 4u * q * width;
    let wa = load_four(at0 + row, width);
    let wb = load_four(at1 + row, width);
    let wc = load_four(at2 + row, width);
    let wd = load_four(at3 + row, width);
    let vs0 = sum_of_splits(v0 + q, quads);
    a0 = accumulate(a0, vs0, wa);
    b0 = accumulate(b0, vs0, wb);
    c0 = accumulate(c0, vs0, wc);
    d0 = accumulate(d0, vs0, wd);
    if (last > 0u) {
      let vs1 = sum_of_splits(v0 + min(1u, last) * v_stride + q, quads);
      a1 = accumulate(a1, vs1, wa);
      b1 = accumulate(b1, vs1, wb);
      c1 = accumulate(c1, vs1, wc);
      d1 = accumulate(d1, vs1, wd);
      let vs2 = sum_of_splits(v0 + min(2u, last) * v_stride + q, quads);
      a2 = accumulate(a2, vs2, wa);
      b2 = accumulate(b2, vs2, wb);
      c2 = accumulate(c2, vs2, wc);
      d2 = accumulate(d2, vs2, wd);
      let vs3 = sum_of_splits(v0 + last * v_stride + q, quads);
      a3 = accumulate(a3, vs3, wa);
      b3 = accumulate(b3, vs3, wb);
      c3 = accumulate(c3, vs3, wc);
      d3 = accumulate(d3, vs3, wd);
    }
  }
  let scale = part.scale * it.scale;
  let y0 = segment.row_start * Y_STRIDE4 + n;
  add(y0, count, scale * a0, scale * b0, scale * c0, scale * d0);
  if (last > 0u) { add(y0 + Y_STRIDE4, count, scale * a1, scale * b1, scale * c1, scale * d1); }
  if (last > 1u) { add(y0 + 2u * Y_STRIDE4, count, scale * a2, scale * b2, scale * c2, scale * d2); }
  if (last > 2u) { add(y0 + 3u * Y_STRIDE4, count, scale * a3, scale * b3, scale * c3, scale * d3); }
  return count;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let index = i / ACROSS;
  let first = i % ACROSS * RUN;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let end = min(first + RUN, OUT4);
  for (var p = 0u; p < segment.part_count; p++) {
    let slot = part_at(segment.part_start + p).slot;
    var n = first;
    loop {
      let site = site_of(slot, n);
      var count = 1u;
      if (site < SITES) { count = expand(segment, p, site, n, end - n); }
      n += count;
      if (n >= end) { break; }
    }
  }
}
