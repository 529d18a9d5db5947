// y[row, OUT_AT4 * 4 + n] (+)= dot(w[n], x[row])      shapes and names as in matmul-row
// One workgroup of 8 x 8 threads per 32 rows and 32 outputs, 4 x 4 of them a thread. 32 columns of both operands at a time go
// through workgroup memory, so that each is read once for 32 of the other; sums are f32. Rows and outputs past the end repeat
// the last one and are not stored.
// From outside: WIDTH8, OUT4, OUT_AT4, Y_STRIDE4, ADD, LOGITS, SCALES_AT; lib/step, lib/grid, lib/weights-*, lib/staged-*.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

const SIDE = 8u;                       // threads
const TILE = 4u * SIDE;                // rows, outputs and columns
const QUADS = TILE / 4u;
const STRIDE = QUADS + 1u;             // one more than a row has, so that neighbouring threads meet different banks
var<workgroup> staged_x: array<Staged, TILE * STRIDE>;
var<workgroup> staged_w: array<Staged, TILE * STRIDE>;

// Where row 4 * thread + j of a tile lies: a thread's four lie apart, and those of neighbouring threads next to each other.
fn place(row: u32) -> u32 { return (row % 4u * SIDE + row / 4u) * STRIDE; }

fn dots(a: vec4f, b: vec4f, c: vec4f, d: vec4f, v: vec4f) -> vec4f {
  return vec4f(dot(a, v), dot(b, v), dot(c, v), dot(d, v));
}

fn store(row: u32, rows: u32, n: u32, value: vec4f) {
  if (row >= rows || n >= OUT4) { return; }
  let at = row * Y_STRIDE4 + OUT_AT4 + n;
  var sum = value;
  if (ADD) { sum += y[at]; }
  y[at] = sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = workgroup_index(workgroup, grid);
  let rows = select(row_count(), logit_row_count(), LOGITS);
  let tiles = (rows + TILE - 1u) / TILE;
  let row0 = i % tiles * TILE;
  let n0 = i / tiles * SIDE;
  if (n0 >= OUT4) { return; }
  let across = local % SIDE;
  let down = local / SIDE;
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
  for (var k8 = 0u; k8 < WIDTH8; k8 += TILE / 8u) {
    for (var e = local; e < TILE * TILE / 8u; e += WORKGROUP_SIZE) {
      let output = e / (TILE / 8u);
      let k = e % (TILE / 8u);
      let eight = load_weights(min(4u * n0 + output, 4u * OUT4 - 1u) * WIDTH8 + k8 + k, SCALES_AT);
      staged_w[place(output) + 2u * k] = stage(eight.lo);
      staged_w[place(output) + 2u * k + 1u] = stage(eight.hi);
    }
    for (var e = local; e < TILE * QUADS; e += WORKGROUP_SIZE) {
      let row = e / QUADS;
      staged_x[place(row) + e % QUADS] = stage(x[min(row0 + row, rows - 1u) * 2u * WIDTH8 + 2u * k8 + e % QUADS]);
    }
    workgroupBarrier();
    for (var k = 0u; k < QUADS; k++) {
      let a = unstage(staged_w[across * STRIDE + k]);
      let b = unstage(staged_w[(SIDE + across) * STRIDE + k]);
      let c = unstage(staged_w[(2u * SIDE + across) * STRIDE + k]);
      let d = unstage(staged_w[(3u * SIDE + across) * STRIDE + k]);
      sum0 += dots(a, b, c, d, unstage(staged_x[down * STRIDE + k]));
      sum1 += dots(a, b, c, d, unstage(staged_x[(SIDE + down) * STRIDE + k]));
      sum2 += dots(a, b, c, d, unstage(staged_x[(2u * SIDE + down) * STRIDE + k]));
      sum3 += dots(a, b, c, d, unstage(staged_x[(3u * SIDE + down) * STRIDE + k]));
    }
    workgroupBarrier();
  }
  let row = row0 + 4u * down;
  store(row, rows, n0 + across, sum0);
  store(row + 1u, rows, n0 + across, sum1);
  store(row + 2u, rows, n0 + across, sum2);
  store(row + 3u, rows, n0 + across, sum3);
}
