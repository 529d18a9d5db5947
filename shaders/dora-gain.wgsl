// Puts DoRA's gains in place of an adapter's magnitudes: gain[n] = magnitude[n] / |W[n] + scale * (A · B)[n]|, for a run of outputs n.
// Liu et al., "DoRA: weight-decomposed low-rank adaptation", 2024. It depends on the base, so that no file can hold it.
// W: (rows, WIDTH8 * 8), WIDTH4 * 4 of them used   A: (WIDTH4 * 4, rank), B: (rank, outputs) and the vector in the pool
// One workgroup per 4 outputs, whose threads go through the columns side by side.
// From outside: WIDTH4, WIDTH8, SCALES_AT; lib/grid, lib/weights-*, lib/pool-*, lib/reduce-memory.
@group(0) @binding(0) var<storage, read> job: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read_write> pool: array<PoolQuad>;

// Quads of outputs: how many, the first in the vector and in B, its first row of `weights`; places in the pool in quads.
struct Job { count: u32, first: u32, row: u32, a: u32, b: u32, rank: u32, scale: f32, vector: u32, across: u32 }

fn job_of() -> Job { return Job(job[0], job[1], job[2], job[3], job[4], job[5], bitcast<f32>(job[6]), job[7], job[8]); }

// Four columns of a row of W.
fn columns(row: u32, k: u32) -> vec4f {
  let eight = load_weights(row * shape.width8 + k / 2u, shape.scales_at);
  return select(eight.lo, eight.hi, (k & 1u) != 0u);
}

// One column of A · B for four outputs.
fn product(a: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> vec4f {
  return fma(vec4f(a.w), b3, fma(vec4f(a.z), b2, fma(vec4f(a.y), b1, a.x * b0)));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let j = job_of();
  let i = workgroup_index(workgroup, grid);
  if (i >= j.count) { return; }
  let n = j.first + i;
  let row = j.row + 4u * i;
  let ranks = j.rank / 4u;
  var squares = vec4f();
  for (var k = local; k < shape.width4; k += WORKGROUP_SIZE) {
    var c0 = vec4f();
    var c1 = vec4f();
    var c2 = vec4f();
    var c3 = vec4f();
    for (var r = 0u; r < ranks; r++) {
      let down = j.b + 4u * r * j.across + n;
      let b0 = unpack_quad(pool[down]);
      let b1 = unpack_quad(pool[down + j.across]);
      let b2 = unpack_quad(pool[down + 2u * j.across]);
      let b3 = unpack_quad(pool[down + 3u * j.across]);
      let a = j.a + 4u * k * ranks + r;
      c0 += product(unpack_quad(pool[a]), b0, b1, b2, b3);
      c1 += product(unpack_quad(pool[a + ranks]), b0, b1, b2, b3);
      c2 += product(unpack_quad(pool[a + 2u * ranks]), b0, b1, b2, b3);
      c3 += product(unpack_quad(pool[a + 3u * ranks]), b0, b1, b2, b3);
    }
    let t0 = columns(row, k) + j.scale * vec4f(c0.x, c1.x, c2.x, c3.x);
    let t1 = columns(row + 1u, k) + j.scale * vec4f(c0.y, c1.y, c2.y, c3.y);
    let t2 = columns(row + 2u, k) + j.scale * vec4f(c0.z, c1.z, c2.z, c3.z);
    let t3 = columns(row + 3u, k) + j.scale * vec4f(c0.w, c1.w, c2.w, c3.w);
    squares += vec4f(dot(t0, t0), dot(t1, t1), dot(t2, t2), dot(t3, t3));
  }
  let sum = sum_of_workgroup(local, 1u, squares, vec4f(), vec4f(), vec4f());
  if (local > 0u) { return; }
  let at = (j.vector - 1u + n) * word_quads();
  let last = at + word_quads() - 1u;
  // a row of zeros has no direction: whatever multiplies it, zero is left
  let gain = unpack_words(pool[at], pool[last]) / sqrt(max(sum, vec4f(1e-30)));
  pool[at] = pack_words(gain, 0u);
  pool[last] = pack_words(gain, word_quads() - 1u);
}
