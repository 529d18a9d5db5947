// A workgroup whose threads have each summed a part of up to four rows; they sum together and store in `y: array<vec4f>`. The other form:
// rows-alone. To be called once, where all threads come by.
// From outside: Y_STRIDE4; lib/grid, lib/reduce-memory.
const LANES = WORKGROUP_SIZE;   // threads that sum together

fn rows_index(workgroup: vec3u, grid: vec3u, local: u32) -> u32 { return workgroup_index(workgroup, grid); }

fn store_rows(at: u32, last: u32, local: u32, s0: vec4f, s1: vec4f, s2: vec4f, s3: vec4f) {
  let sum = sum_of_workgroup(local, last + 1u, s0, s1, s2, s3);
  if (local <= last) { y[at + local * Y_STRIDE4] = sum; }
}
