// y[row, site's columns] += scale * v[segment row, site] · B(adapter of the row, site)      B: (rank, out)   y: (rows, Y_STRIDE4 * 4)
// Where the adapter has a gain or a bias for the site, y is multiplied by the one and the other is added: see lib/descriptors.
// One thread per segment and 16 columns; it finds the site that owns them, sums the splits that lora-shrink wrote, and adds every
// part of the segment in order. Adds into what the base matmul left in y. ROWS as in lora-shrink.
// From outside: ROWS, OUT4, Y_STRIDE4, SITE_FIRST, SITES, SPLITS; lib/step, lib/grid, lib/pool-*, lib/descriptors.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> v: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

// 16 columns of one row.
struct Columns { c0: vec4f, c1: vec4f, c2: vec4f, c3: vec4f }

// Rank r of a row of v.
fn sum_of_splits(at: u32, r: u32, quads: u32) -> f32 {
  var sum = v[at + r / 4u][r % 4u];
  for (var split = 1u; split < shape.splits; split++) { sum += v[at + r / 4u + split * quads][r % 4u]; }
  return sum;
}

// Adds `count` quads of a row to y.
fn add(at: u32, count: u32, scale: f32, s: Columns) {
  y[at] += scale * s.c0;
  if (count > 1u) { y[at + 1u] += scale * s.c1; }
  if (count > 2u) { y[at + 2u] += scale * s.c2; }
  if (count > 3u) { y[at + 3u] += scale * s.c3; }
}

// The rest of what the site does to them, from quad n of its columns on.
fn finish(at: u32, count: u32, d: Descriptor, n: u32) {
  for (var c = 0u; c < count; c++) { y[at + c] = changed(y[at + c], vec4f(), d, n + c); }
}

// Columns of which quads: some site's, as far as `end`; or nobody's.
struct Range { site: u32, end: u32 }

// Which site of an adapter quad n of the group's columns belongs to; where it is nobody's, `end` is where somebody's begin.
fn range_at(slot: u32, n: u32, beyond: u32) -> Range {
  var range = Range(shape.sites, beyond);
  for (var site = 0u; site < shape.sites; site++) {
    let d = columns_at(slot, shape.site_first + site);
    if (d.start == d.end) { continue; }
    if (n >= d.start && n < d.end) { range = Range(site, min(d.end, beyond)); }
    if (n < d.start) { range.end = min(d.start, range.end); }
  }
  return range;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let across = (shape.out4 + 3u) / 4u;
  let index = i / across;
  let first = i % across * 4u;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let last = segment.row_count - 1u;
  let quads = rank_quads();
  let v_stride = shape.sites * shape.splits * quads;
  let beyond = min(first + 4u, shape.out4);
  for (var p = 0u; p < segment.part_count; p++) {
    let part = part_at(segment.part_start + p);
    // columns of two sites only where the border between them is no multiple of 16
    var n = first;
    while (n < beyond) {
      let range = range_at(part.slot, n, beyond);
      if (range.site < shape.sites) {
        let d = descriptor_at(part.slot, shape.site_first + range.site);
        let width = d.out_count / 4u;
        let count = range.end - n;
        let b0 = d.b + n - d.out_start / 4u;
        let b1 = b0 + min(1u, count - 1u);
        let b2 = b0 + min(2u, count - 1u);
        let b3 = b0 + count - 1u;
        let v0 = ((segment.v_row + p * segment.row_count) * shape.sites + range.site) * shape.splits * quads;
        let v1 = v0 + min(1u, last) * v_stride;
        let v2 = v0 + min(2u, last) * v_stride;
        let v3 = v0 + last * v_stride;
        var s0 = Columns();
        var s1 = Columns();
        var s2 = Columns();
        var s3 = Columns();
        for (var r = 0u; r < d.rank; r++) {
          let down = r * width;
          let w0 = unpack_quad(pool[b0 + down]);
          let w1 = unpack_quad(pool[b1 + down]);
          let w2 = unpack_quad(pool[b2 + down]);
          let w3 = unpack_quad(pool[b3 + down]);
          let vs0 = vec4f(sum_of_splits(v0, r, quads));
          s0 = Columns(fma(vs0, w0, s0.c0), fma(vs0, w1, s0.c1), fma(vs0, w2, s0.c2), fma(vs0, w3, s0.c3));
          if (ROWS > 1u) {
            let vs1 = vec4f(sum_of_splits(v1, r, quads));
            s1 = Columns(fma(vs1, w0, s1.c0), fma(vs1, w1, s1.c1), fma(vs1, w2, s1.c2), fma(vs1, w3, s1.c3));
            let vs2 = vec4f(sum_of_splits(v2, r, quads));
            s2 = Columns(fma(vs2, w0, s2.c0), fma(vs2, w1, s2.c1), fma(vs2, w2, s2.c2), fma(vs2, w3, s2.c3));
            let vs3 = vec4f(sum_of_splits(v3, r, quads));
            s3 = Columns(fma(vs3, w0, s3.c0), fma(vs3, w1, s3.c1), fma(vs3, w2, s3.c2), fma(vs3, w3, s3.c3));
          }
        }
        let scale = part.scale * d.scale;
        var at = segment.row_start * shape.y_stride4 + n;
        if (ROWS == 1u) {
          add(at, count, scale, s0);
          if ((d.gain | d.bias) != 0u) { finish(at, count, d, n - d.out_start / 4u); }
        } else {
          // the sums move up, so that one place in the text adds them all
          for (var row = 0u; row <= last; row++) {
            add(at, count, scale, s0);
            if ((d.gain | d.bias) != 0u) { finish(at, count, d, n - d.out_start / 4u); }
            s0 = s1;
            s1 = s2;
            s2 = s3;
            at += shape.y_stride4;
          }
        }
      }
      n = range.end;
    }
  }
}
