// Eight threads, a workgroup, that sum apart and then together through workgroup memory. The other form: sum-quads.
const LANES = 8u;

var<workgroup> partial: array<vec4f, LANES>;

fn sum_over_lanes(local: u32, s: vec4f) -> vec4f {
  workgroupBarrier();
  partial[local] = s;
  workgroupBarrier();
  return ((partial[0] + partial[1]) + (partial[2] + partial[3])) + ((partial[4] + partial[5]) + (partial[6] + partial[7]));
}
