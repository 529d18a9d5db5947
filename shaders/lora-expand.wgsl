// y[row, site's columns] += scale * v[segment row, site] · B(adapter of the row, site)      B: (rank, out)   y: (rows, Y_STRIDE4 * 4)
// Where the adapter has a gain or a bias for the site, y is multiplied by the one and the other is added: see lib/descriptors.
// One thread per segment and 16 columns; it finds the site that owns them, sums the splits that lora-shrink wrote, and adds every
// part of the segment in order. Adds into what the base matmul left in y. ROWS, and the tests at the end of outer loops, as in lora-shrink.
// What most steps do not need folds away: EVEN says that no 16 columns belong to two sites, FINISH that some row has a gain or a bias.
// From outside: ROWS, OUT4, Y_STRIDE4, SITE_FIRST, SITES, SPLITS, EVEN, FINISH; lib/step, lib/grid, lib/pool-*, lib/descriptors.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> v: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

// 16 columns of one row.
struct Columns { c0: vec4f, c1: vec4f, c2: vec4f, c3: vec4f }

// Where quads of columns lie one by one: past the end, the last one again.
struct Places { c0: u32, c1: u32, c2: u32, c3: u32 }

fn places(first: u32, count: u32) -> Places {
  return Places(first, first + min(1u, count - 1u), first + min(2u, count - 1u), first + count - 1u);
}

// Rank r of a row of v.
fn sum_of_splits(at: u32, r: u32, quads: u32) -> f32 {
  var sum = v[at + r / 4u][r % 4u];
  // devices that run on the CPU go through a loop once that they need not enter
  if (SPLITS > 1u) { sum += v[at + r / 4u + quads][r % 4u]; }
  if (SPLITS > 2u) {
    for (var split = 2u; split < SPLITS; split++) { sum += v[at + r / 4u + split * quads][r % 4u]; }
  }
  return sum;
}

fn accumulate(s: Columns, v: f32, w: Columns) -> Columns {
  let vs = vec4f(v);
  return Columns(fma(vs, w.c0, s.c0), fma(vs, w.c1, s.c1), fma(vs, w.c2, s.c2), fma(vs, w.c3, s.c3));
}

// Adds to a row of y. All is read before anything is written: a quad that stands for others is written more than once, the same each time.
fn add(row: u32, n: Places, scale: f32, s: Columns) {
  let at = row * shape.y_stride4;
  let y0 = y[at + n.c0];
  let y1 = y[at + n.c1];
  let y2 = y[at + n.c2];
  let y3 = y[at + n.c3];
  y[at + n.c0] = y0 + scale * s.c0;
  y[at + n.c1] = y1 + scale * s.c1;
  y[at + n.c2] = y2 + scale * s.c2;
  y[at + n.c3] = y3 + scale * s.c3;
}

// The rest of what the site does to `count` quads from n on.
fn finish(row: u32, last: u32, n: u32, count: u32, d: Descriptor) {
  for (var i = 0u; i <= last; i++) {
    for (var c = n; c < n + count; c++) {
      let at = (row + i) * shape.y_stride4 + c;
      y[at] = changed(y[at], vec4f(), d, c - d.out_start / 4u);
    }
  }
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

// What a part of a segment adds to quad n of the columns and those behind it, before `beyond`. Gives the first that is not done yet.
fn serve(segment: Segment, p: u32, n: u32, beyond: u32) -> u32 {
  let part = part_at(segment.part_start + p);
  let range = range_at(part.slot, n, beyond);
  if (range.site == shape.sites) { return range.end; }
  let d = descriptor_at(part.slot, shape.site_first + range.site);
  let row = segment.row_start;
  let last = segment.row_count - 1u;
  let quads = rank_quads();
  let count = select(range.end - n, 4u, EVEN);
  let width = d.out_count / 4u;
  let b = places(d.b + n - d.out_start / 4u, count);
  let v_stride = shape.sites * SPLITS * quads;
  let v0 = ((segment.v_row + p * segment.row_count) * shape.sites + range.site) * SPLITS * quads;
  let v1 = v0 + min(1u, last) * v_stride;
  let v2 = v0 + min(2u, last) * v_stride;
  let v3 = v0 + last * v_stride;
  var s0 = Columns();
  var s1 = Columns();
  var s2 = Columns();
  var s3 = Columns();
  for (var r = 0u; r < d.rank; r++) {
    let down = r * width;
    let w = Columns(unpack_quad(pool[b.c0 + down]), unpack_quad(pool[b.c1 + down]),
      unpack_quad(pool[b.c2 + down]), unpack_quad(pool[b.c3 + down]));
    s0 = accumulate(s0, sum_of_splits(v0, r, quads), w);
    if (ROWS > 1u) {
      s1 = accumulate(s1, sum_of_splits(v1, r, quads), w);
      s2 = accumulate(s2, sum_of_splits(v2, r, quads), w);
      s3 = accumulate(s3, sum_of_splits(v3, r, quads), w);
    }
  }
  let scale = part.scale * d.scale;
  let at = places(n, count);
  add(row, at, scale, s0);
  if (ROWS > 1u) {
    if (last >= 1u) { add(row + 1u, at, scale, s1); }
    if (last >= 2u) { add(row + 2u, at, scale, s2); }
    if (last >= 3u) { add(row + 3u, at, scale, s3); }
  }
  if (FINISH) {
    if ((d.gain | d.bias) != 0u) { finish(row, last, n, count, d); }
  }
  return range.end;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let across = (shape.out4 + 3u) / 4u;
  let index = i / across;
  let first = i % across * 4u;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let beyond = min(first + 4u, shape.out4);
  var p = 0u;
  loop {
    if (EVEN) {
      _ = serve(segment, p, first, beyond);
    } else {
      var n = first;
      loop {
        n = serve(segment, p, n, beyond);
        continuing { break if n >= beyond; }
      }
    }
    continuing { p++; break if p >= segment.part_count; }
  }
}
