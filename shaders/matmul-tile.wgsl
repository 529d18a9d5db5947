// y[row, OUT_AT4 * 4 + n] (+)= dot(w[n], x[row])      shapes and names as in matmul-row
// One thread per 8 rows and QUADS (2 or 4) quads of outputs: with 8 outputs, 16 loads feed 64 dot products. All threads of a workgroup
// have the same rows, so that they can share their loads of x (lib/share-*). Every output is summed in matmul-row's order, so a row's
// result does not depend on how many rows the batch has. Rows and outputs past the end repeat the last one and are not stored.
// From outside: QUADS, WIDTH8, OUT4, OUT_AT4, Y_STRIDE4, ADD, LOGITS, SCALES_AT; lib/step, lib/grid, lib/share-*, lib/weights-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

// Four columns of 8 outputs.
struct Columns { a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f }
struct Block { lo: Columns, hi: Columns }

// 8 outputs of a row, and of all rows.
struct Sums { a: vec4f, b: vec4f }
struct Tile { a: Sums, b: Sums, c: Sums, d: Sums, e: Sums, f: Sums, g: Sums, h: Sums }

// Sixteen columns of all rows.
struct Held { a: Sixteen, b: Sixteen, c: Sixteen, d: Sixteen, e: Sixteen, f: Sixteen, g: Sixteen, h: Sixteen }

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

fn add_first(s: Sums, w: Block, x: Sixteen) -> Sums { return add_four(add_four(s, w.lo, first(x)), w.hi, second(x)); }

fn add_last(s: Sums, w: Block, x: Sixteen) -> Sums { return add_four(add_four(s, w.lo, third(x)), w.hi, fourth(x)); }

// With the first eight of the columns, and with the last eight.
fn with_first(t: Tile, w: Block, x: Held) -> Tile {
  return Tile(add_first(t.a, w, x.a), add_first(t.b, w, x.b), add_first(t.c, w, x.c), add_first(t.d, w, x.d),
    add_first(t.e, w, x.e), add_first(t.f, w, x.f), add_first(t.g, w, x.g), add_first(t.h, w, x.h));
}

fn with_last(t: Tile, w: Block, x: Held) -> Tile {
  return Tile(add_last(t.a, w, x.a), add_last(t.b, w, x.b), add_last(t.c, w, x.c), add_last(t.d, w, x.d),
    add_last(t.e, w, x.e), add_last(t.f, w, x.f), add_last(t.g, w, x.g), add_last(t.h, w, x.h));
}

// One place in the text that stores a quad, whether it adds or not: devices that run on the CPU go through both sides of a branch.
fn store(row: u32, rows: u32, n: u32, value: vec4f) {
  if (row >= rows || n >= shape.out4) { return; }
  let at = row * shape.y_stride4 + shape.out_at4 + n;
  var sum = value;
  if (shape.add != 0u) { sum += y[at]; }
  y[at] = sum;
}

fn store_row(row: u32, rows: u32, n: u32, s: Sums) {
  store(row, rows, n, s.a);
  store(row, rows, n + 1u, s.b);
}

fn store_tile(row: u32, rows: u32, n: u32, t: Tile) {
  store_row(row, rows, n, t.a);
  store_row(row + 1u, rows, n, t.b);
  store_row(row + 2u, rows, n, t.c);
  store_row(row + 3u, rows, n, t.d);
  store_row(row + 4u, rows, n, t.e);
  store_row(row + 5u, rows, n, t.f);
  store_row(row + 6u, rows, n, t.g);
  store_row(row + 7u, rows, n, t.h);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let across = (shape.out4 + QUADS * WORKGROUP_SIZE - 1u) / (QUADS * WORKGROUP_SIZE);
  let index = workgroup_index(workgroup, grid);
  let row = index / across * 8u;
  let n = (index % across * WORKGROUP_SIZE + local) * QUADS;
  let rows = select(row_count(), logit_row_count(), shape.logits != 0u);
  if (row >= rows) { return; }
  let width8 = shape.width8;
  let stride = width8 * 2u;
  let last = shape.out4 - 1u;
  let w0 = min(n, last) * 4u * width8;
  let w1 = min(n + 1u, last) * 4u * width8;
  let w2 = min(n + 2u, last) * 4u * width8;
  let w3 = min(n + 3u, last) * 4u * width8;
  let x0 = row * stride;
  let x1 = min(row + 1u, rows - 1u) * stride;
  let x2 = min(row + 2u, rows - 1u) * stride;
  let x3 = min(row + 3u, rows - 1u) * stride;
  let x4 = min(row + 4u, rows - 1u) * stride;
  let x5 = min(row + 5u, rows - 1u) * stride;
  let x6 = min(row + 6u, rows - 1u) * stride;
  let x7 = min(row + 7u, rows - 1u) * stride;
  var s = Tile();
  var t = Tile();
  for (var k = 0u; k < width8; k += 2u) {
    let c = 2u * k;
    let held = Held(hold(x0 + c, local), hold(x1 + c, local), hold(x2 + c, local), hold(x3 + c, local),
      hold(x4 + c, local), hold(x5 + c, local), hold(x6 + c, local), hold(x7 + c, local));
    s = with_first(s, load_block(w0 + k, w1 + k), held);
    if (QUADS > 2u) { t = with_first(t, load_block(w2 + k, w3 + k), held); }
    s = with_last(s, load_block(w0 + k + 1u, w1 + k + 1u), held);
    if (QUADS > 2u) { t = with_last(t, load_block(w2 + k + 1u, w3 + k + 1u), held); }
  }
  store_tile(row, rows, n, s);
  if (QUADS > 2u) { store_tile(row, rows, n + 2u, t); }
}
