// y[row, OUT_AT4 * 4 + n] (+)= dot(w[n], x[row])      x: (rows, WIDTH8 * 8)   w: (OUT4 * 4, WIDTH8 * 8)   y: (rows, Y_STRIDE4 * 4)
// One thread per ROWS (1 or 4) rows and 4 outputs: for steps of so few rows, where matmul-tile, which sums in the same order, would
// compute rows for nobody. Neighbours may share their loads of x (lib/share-*). Rows past the end repeat the last one and are not stored.
// `add` adds to what y holds (the residual); `logits` counts logit rows instead of batch rows. What else stands in upper case here is
// read at run time, as a member of `shape` in lower case.
// From outside: ROWS, WIDTH8, OUT4, OUT_AT4, Y_STRIDE4, ADD, LOGITS, SCALES_AT; lib/step, lib/grid, lib/share-*, lib/weights-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;


// Four columns of 4 outputs, twice.
struct Block { a: Eight, b: Eight, c: Eight, d: Eight }

fn load_block(w0: u32) -> Block {
  let stride = shape.width8;
  let at = shape.scales_at;
  return Block(load_weights(w0, at), load_weights(w0 + stride, at), load_weights(w0 + 2u * stride, at), load_weights(w0 + 3u * stride, at));
}

fn add_eight(s: vec4f, w: Block, lo: vec4f, hi: vec4f) -> vec4f {
  let sum = s + vec4f(dot(w.a.lo, lo), dot(w.b.lo, lo), dot(w.c.lo, lo), dot(w.d.lo, lo));
  return sum + vec4f(dot(w.a.hi, hi), dot(w.b.hi, hi), dot(w.c.hi, hi), dot(w.d.hi, hi));
}

fn store(row: u32, rows: u32, n: u32, value: vec4f) {
  if (row >= rows || n >= shape.out4) { return; }
  let at = row * shape.y_stride4 + shape.out_at4 + n;
  var sum = value;
  if (shape.add != 0u) { sum += y[at]; }
  y[at] = sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let across = (shape.out4 + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
  let index = workgroup_index(workgroup, grid);
  let row = index / across * ROWS;
  let n = index % across * WORKGROUP_SIZE + local;
  let rows = select(row_count(), logit_row_count(), shape.logits != 0u);
  if (row >= rows) { return; }
  let width8 = shape.width8;
  let w0 = min(n, shape.out4 - 1u) * 4u * width8;
  let x0 = row * width8 * 2u;
  let x1 = min(row + 1u, rows - 1u) * width8 * 2u;
  let x2 = min(row + 2u, rows - 1u) * width8 * 2u;
  let x3 = min(row + 3u, rows - 1u) * width8 * 2u;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  for (var k = 0u; k < width8; k += 2u) {
    let near = load_block(w0 + k);
    let far = load_block(w0 + k + 1u);
    let held0 = hold(x0 + 2u * k, local);
    s0 = add_eight(add_eight(s0, near, first(held0), second(held0)), far, third(held0), fourth(held0));
    if (ROWS > 1u) {
      let held1 = hold(x1 + 2u * k, local);
      s1 = add_eight(add_eight(s1, near, first(held1), second(held1)), far, third(held1), fourth(held1));
      let held2 = hold(x2 + 2u * k, local);
      s2 = add_eight(add_eight(s2, near, first(held2), second(held2)), far, third(held2), fourth(held2));
      let held3 = hold(x3 + 2u * k, local);
      s3 = add_eight(add_eight(s3, near, first(held3), second(held3)), far, third(held3), fourth(held3));
    }
  }
  store(row, rows, n, s0);
  if (ROWS > 1u) {
    store(row + 1u, rows, n, s1);
    store(row + 2u, rows, n, s2);
    store(row + 3u, rows, n, s3);
  }
}
