// x[row] += SCALE * scale * A[token of the row] · B      A: (VOCABULARY, rank), B: (rank, OUT4 * 4)   x: (rows, STRIDE4 * 4)
// A low-rank pair of the embedding (site SITE outside the layers): as that of a linear layer whose input is one-hot, so a row of A is all
// there is to shrink. One thread per segment, row of it and 4 columns; it adds every part of the segment in order.
// From outside: VOCABULARY, SITE, OUT4, STRIDE4, SCALE; lib/step, lib/state, lib/grid, lib/pool-*, lib/descriptors.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> x: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let n = i % OUT4;
  let index = i / OUT4 / 4u;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  if (i / OUT4 % 4u >= segment.row_count) { return; }
  let row = segment.row_start + i / OUT4 % 4u;
  let token = min(token_of(row_at(row)), VOCABULARY - 1u);
  for (var p = 0u; p < segment.part_count; p++) {
    let part = part_at(segment.part_start + p);
    let d = descriptor_at(part.slot, SITE);
    if (d.rank == 0u) { continue; }
    var sum = vec4f();
    for (var q = 0u; q < d.rank / 4u; q++) {
      let a = unpack_quad(pool[d.a + token * (d.rank / 4u) + q]);
      let b = d.b + 4u * q * OUT4 + n;
      sum = fma(vec4f(a.x), unpack_quad(pool[b]), sum);
      sum = fma(vec4f(a.y), unpack_quad(pool[b + OUT4]), sum);
      sum = fma(vec4f(a.z), unpack_quad(pool[b + 2u * OUT4]), sum);
      sum = fma(vec4f(a.w), unpack_quad(pool[b + 3u * OUT4]), sum);
    }
    x[row * STRIDE4 + n] += SCALE * part.scale * d.scale * sum;
  }
}
