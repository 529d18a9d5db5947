// y[row, OUT_AT4 * 4 + n] (+)= dot(w[n], x[row])      x: (rows, WIDTH8 * 8)   w: (OUT4 * 4, WIDTH8 * 8)   y: (rows, Y_STRIDE4 * 4)
// One thread per row and 4 outputs: 4 weight loads share one load of x, which neighbours may share in turn (lib/share-*). For one row;
// more: matmul-few and matmul-tile, which sum in the same order. `add` adds to what y holds (the residual). `logits` counts logit rows
// instead of batch rows. What stands in upper case here is read at run time, as a member of `shape` in lower case.
// From outside: WIDTH8, OUT4, OUT_AT4, Y_STRIDE4, ADD, LOGITS, SCALES_AT; lib/step, lib/grid, lib/share-*, lib/weights-*.
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
  let row = index / across;
  let n = index % across * WORKGROUP_SIZE + local;
  let rows = select(row_count(), logit_row_count(), shape.logits != 0u);
  if (row >= rows) { return; }
  let width8 = shape.width8;
  let w0 = min(n, shape.out4 - 1u) * 4u * width8;
  let x0 = row * width8 * 2u;
  var s0 = vec4f();
  for (var k = 0u; k < width8; k += 2u) {
    let held0 = hold(x0 + 2u * k, local);
    let near = load_block(w0 + k);
    s0 = add_eight(s0, near, first(held0), second(held0));
    let far = load_block(w0 + k + 1u);
    s0 = add_eight(s0, far, third(held0), fourth(held0));
  }
  store(row, rows, n, s0);
}
