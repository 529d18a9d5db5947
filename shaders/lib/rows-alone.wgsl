// A thread that has summed up to four rows alone, and stores them in `y: array<vec4f>`. The other form: rows-together.
// From outside: Y_STRIDE4; lib/grid.
const LANES = 1u;   // threads that sum together

fn rows_index(workgroup: vec3u, grid: vec3u, local: u32) -> u32 { return thread_index(workgroup, grid, local); }

fn store_rows(at: u32, last: u32, local: u32, s0: vec4f, s1: vec4f, s2: vec4f, s3: vec4f) {
  y[at] = s0;
  if (last > 0u) { y[at + Y_STRIDE4] = s1; }
  if (last > 1u) { y[at + 2u * Y_STRIDE4] = s2; }
  if (last > 2u) { y[at + 3u * Y_STRIDE4] = s3; }
}
