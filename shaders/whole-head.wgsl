// logits[row, OUT_AT4 * 4 + n] = dot(w[n], x[row]) for the logit rows of one adapter, which brought the matrix with it: in place of the base's.
// x: (logit rows, WIDTH8 * 8)   weights: (OUT4 * 4, WIDTH8 * 8)   own: the adapter's slot
// One thread, or a workgroup whose threads sum together (lib/rows-*), per segment of logit rows and 4 outputs: each weight is read once
// for the rows of the segment.
// From outside: WIDTH8, OUT4, OUT_AT4; lib/step, lib/grid, lib/weights-*, lib/rows-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> own: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

fn dots(a: vec4f, b: vec4f, c: vec4f, d: vec4f, v: vec4f) -> vec4f {
  return vec4f(dot(a, v), dot(b, v), dot(c, v), dot(d, v));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = rows_index(workgroup, grid, local);
  let n = i % OUT4;
  let index = i / OUT4;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  if (segment.part_count != 1u || part_at(segment.part_start).slot != own[0]) { return; }
  let last = segment.row_count - 1u;
  let stride = WIDTH8 * 2u;
  let x0 = segment.row_start * stride;
  let x1 = x0 + min(1u, last) * stride;
  let x2 = x0 + min(2u, last) * stride;
  let x3 = x0 + last * stride;
  let w0 = n * 4u * WIDTH8;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  for (var k = local % LANES; k < WIDTH8; k += LANES) {
    let a = load_weights(w0 + k, 0u);
    let b = load_weights(w0 + WIDTH8 + k, 0u);
    let c = load_weights(w0 + 2u * WIDTH8 + k, 0u);
    let d = load_weights(w0 + 3u * WIDTH8 + k, 0u);
    let k2 = 2u * k;
    s0 += dots(a.lo, b.lo, c.lo, d.lo, x[x0 + k2]) + dots(a.hi, b.hi, c.hi, d.hi, x[x0 + k2 + 1u]);
    if (last > 0u) {
      s1 += dots(a.lo, b.lo, c.lo, d.lo, x[x1 + k2]) + dots(a.hi, b.hi, c.hi, d.hi, x[x1 + k2 + 1u]);
      s2 += dots(a.lo, b.lo, c.lo, d.lo, x[x2 + k2]) + dots(a.hi, b.hi, c.hi, d.hi, x[x2 + k2 + 1u]);
      s3 += dots(a.lo, b.lo, c.lo, d.lo, x[x3 + k2]) + dots(a.hi, b.hi, c.hi, d.hi, x[x3 + k2 + 1u]);
    }
  }
  store_rows(segment.row_start * Y_STRIDE4 + OUT_AT4 + n, last, local, s0, s1, s2, s3);
}
