// y[row, OUT_AT4 * 4 + n] (+)= dot(w[n], x[row])      shapes and names as in matmul-row
// One thread per 8 rows and 8 outputs: 16 loads feed 64 dot products. All threads of a workgroup have the same rows, so that they can
// share their loads of x (lib/share-*). Every output is summed in matmul-row's order, so a row's result does not depend on how many
// rows the batch has. Rows and outputs past the end repeat the last one and are not stored.
// From outside: WIDTH8, OUT4, OUT_AT4, Y_STRIDE4, ADD, LOGITS, SCALES_AT; lib/step, lib/grid, lib/share-*, lib/weights-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

// Four columns of 8 outputs.
struct Columns { a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f }
struct Block { lo: Columns, hi: Columns }

// 8 outputs of a row.
struct Sums { a: vec4f, b: vec4f }

// Eight columns of the outputs whose planes' rows start at w0 to w0 + 3 strides, and w1 to w1 + 3 strides.
fn load_block(w0: u32, w1: u32) -> Block {
  let stride = shape.width8;
  let at = shape.scales_at;
  let a = load_weights(w0, at);
  let b = load_weights(w0 + stride, at);
  let c = load_weights(w0 + 2u * stride, at);
  let d = load_weights(w0 + 3u * stride, at);
  let e = load_weights(w1, at);
  let f = load_weights(w1 + stride, at);
  let g = load_weights(w1 + 2u * stride, at);
  let h = load_weights(w1 + 3u * stride, at);
  return Block(Columns(a.lo, b.lo, c.lo, d.lo, e.lo, f.lo, g.lo, h.lo), Columns(a.hi, b.hi, c.hi, d.hi, e.hi, f.hi, g.hi, h.hi));
}

fn add_four(s: Sums, w: Columns, v: vec4f) -> Sums {
  return Sums(
    s.a + vec4f(dot(w.a, v), dot(w.b, v), dot(w.c, v), dot(w.d, v)),
    s.b + vec4f(dot(w.e, v), dot(w.f, v), dot(w.g, v), dot(w.h, v)));
}

fn add_eight(s: Sums, w: Block, lo: vec4f, hi: vec4f) -> Sums { return add_four(add_four(s, w.lo, lo), w.hi, hi); }

// One place in the text that stores a quad, whether it adds or not: devices that run on the CPU go through both sides of a branch.
fn store(row: u32, rows: u32, n: u32, value: vec4f) {
  if (row >= rows || n >= shape.out4) { return; }
  let at = row * shape.y_stride4 + shape.out_at4 + n;
  var sum = value;
  if (shape.add != 0u) { sum += y[at]; }
  y[at] = sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let across = (shape.out4 + 2u * WORKGROUP_SIZE - 1u) / (2u * WORKGROUP_SIZE);
  let index = workgroup_index(workgroup, grid);
  let row = index / across * 8u;
  let n = (index % across * WORKGROUP_SIZE + local) * 2u;
  let rows = select(row_count(), logit_row_count(), shape.logits != 0u);
  if (row >= rows) { return; }
  let width8 = shape.width8;
  let w0 = min(n, shape.out4 - 1u) * 4u * width8;
  let w1 = min(n + 1u, shape.out4 - 1u) * 4u * width8;
  let x0 = row * width8 * 2u;
  let x1 = min(row + 1u, rows - 1u) * width8 * 2u;
  let x2 = min(row + 2u, rows - 1u) * width8 * 2u;
  let x3 = min(row + 3u, rows - 1u) * width8 * 2u;
  let x4 = min(row + 4u, rows - 1u) * width8 * 2u;
  let x5 = min(row + 5u, rows - 1u) * width8 * 2u;
  let x6 = min(row + 6u, rows - 1u) * width8 * 2u;
  let x7 = min(row + 7u, rows - 1u) * width8 * 2u;
  var s0 = Sums();
  var s1 = Sums();
  var s2 = Sums();
  var s3 = Sums();
  var s4 = Sums();
  var s5 = Sums();
  var s6 = Sums();
  var s7 = Sums();
  for (var k = 0u; k < width8; k += 2u) {
    let held0 = hold(x0 + 2u * k, local);
    let held1 = hold(x1 + 2u * k, local);
    let held2 = hold(x2 + 2u * k, local);
    let held3 = hold(x3 + 2u * k, local);
    let held4 = hold(x4 + 2u * k, local);
    let held5 = hold(x5 + 2u * k, local);
    let held6 = hold(x6 + 2u * k, local);
    let held7 = hold(x7 + 2u * k, local);
    let near = load_block(w0 + k, w1 + k);
    s0 = add_eight(s0, near, first(held0), second(held0));
    s1 = add_eight(s1, near, first(held1), second(held1));
    s2 = add_eight(s2, near, first(held2), second(held2));
    s3 = add_eight(s3, near, first(held3), second(held3));
    s4 = add_eight(s4, near, first(held4), second(held4));
    s5 = add_eight(s5, near, first(held5), second(held5));
    s6 = add_eight(s6, near, first(held6), second(held6));
    s7 = add_eight(s7, near, first(held7), second(held7));
    let far = load_block(w0 + k + 1u, w1 + k + 1u);
    s0 = add_eight(s0, far, third(held0), fourth(held0));
    s1 = add_eight(s1, far, third(held1), fourth(held1));
    s2 = add_eight(s2, far, third(held2), fourth(held2));
    s3 = add_eight(s3, far, third(held3), fourth(held3));
    s4 = add_eight(s4, far, third(held4), fourth(held4));
    s5 = add_eight(s5, far, third(held5), fourth(held5));
    s6 = add_eight(s6, far, third(held6), fourth(held6));
    s7 = add_eight(s7, far, third(held7), fourth(held7));
  }
  store(row, rows, n, s0.a);
  store(row, rows, n + 1u, s0.b);
  store(row + 1u, rows, n, s1.a);
  store(row + 1u, rows, n + 1u, s1.b);
  store(row + 2u, rows, n, s2.a);
  store(row + 2u, rows, n + 1u, s2.b);
  store(row + 3u, rows, n, s3.a);
  store(row + 3u, rows, n + 1u, s3.b);
  store(row + 4u, rows, n, s4.a);
  store(row + 4u, rows, n + 1u, s4.b);
  store(row + 5u, rows, n, s5.a);
  store(row + 5u, rows, n + 1u, s5.b);
  store(row + 6u, rows, n, s6.a);
  store(row + 6u, rows, n + 1u, s6.b);
  store(row + 7u, rows, n, s7.a);
  store(row + 7u, rows, n + 1u, s7.b);
}
