// Four threads that sum columns of their own and then together, by a quad's operations. A workgroup is one quad, which is taken to be
// four neighbours by local_invocation_index (see share-quads). Sums are kept as 2 * row + half, and stored in `v: array<vec4f>`. The
// other form: sum-alone.
// From outside: ROWS; lib/grid.
const LANES = 4u;   // threads that sum together

var<private> kept: array<vec4f, 8>;

fn summing_index(workgroup: vec3u, grid: vec3u, local: u32) -> u32 { return workgroup_index(workgroup, grid); }

fn keep(i: u32, sum: vec4f) { kept[i] = sum; }

fn sum_of_quad(s: vec4f) -> vec4f {
  return (quadBroadcast(s, 0u) + quadBroadcast(s, 1u)) + (quadBroadcast(s, 2u) + quadBroadcast(s, 3u));
}

// The row of this thread's number. All rows are summed, because all threads take part in every sum.
fn total_of_row(half: u32, local: u32) -> vec4f {
  var total = sum_of_quad(kept[half]);
  if (ROWS > 1u) {
    total = select(total, sum_of_quad(kept[2u + half]), local == 1u);
    total = select(total, sum_of_quad(kept[4u + half]), local == 2u);
    total = select(total, sum_of_quad(kept[6u + half]), local == 3u);
  }
  return total;
}

// Stores the rows 0 to `last`, `stride` apart, the second half only where it is wanted: each thread the row of its number.
fn store_sums(at: u32, stride: u32, last: u32, has_second: bool, local: u32) {
  let s = total_of_row(0u, local);
  let t = total_of_row(1u, local);
  if (local <= last) {
    v[at + local * stride] = s;
    if (has_second) { v[at + local * stride + 1u] = t; }
  }
}
