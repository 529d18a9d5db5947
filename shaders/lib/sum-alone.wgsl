// A thread that sums all of its columns alone. A barrier to sum with others costs more than it saves where devices run on the CPU.
// Sums are kept as 2 * row + half, and stored in `v: array<vec4f>`. The other form: sum-quads.
// From outside: lib/grid.
const LANES = 1u;   // threads that sum together

var<private> kept: array<vec4f, 8>;

fn summing_index(workgroup: vec3u, grid: vec3u, local: u32) -> u32 { return thread_index(workgroup, grid, local); }

fn keep(i: u32, sum: vec4f) { kept[i] = sum; }

// Stores the rows 0 to `last`, `stride` apart, the second half only where it is wanted.
fn store_sums(at: u32, stride: u32, last: u32, has_second: bool, local: u32) {
  var row = 0u;
  loop {
    v[at + row * stride] = kept[2u * row];
    if (has_second) { v[at + row * stride + 1u] = kept[2u * row + 1u]; }
    continuing { row++; break if row > last; }
  }
}
