// Sums over a workgroup through workgroup memory: first of every eighth thread's values, then of these eight.
// Thread i is given the sum of every thread's value i, for i < count <= 4. To be called once, where all threads come by.
const FOLDS = 8u;
var<workgroup> summands: array<vec4f, 4u * WORKGROUP_SIZE>;
var<workgroup> folded: array<vec4f, 4u * FOLDS>;

fn sum_of_workgroup(local: u32, count: u32, value0: vec4f, value1: vec4f, value2: vec4f, value3: vec4f) -> vec4f {
  summands[local] = value0;
  if (count > 1u) {
    summands[WORKGROUP_SIZE + local] = value1;
    summands[2u * WORKGROUP_SIZE + local] = value2;
    summands[3u * WORKGROUP_SIZE + local] = value3;
  }
  workgroupBarrier();
  if (local < count * FOLDS) {
    let first = local / FOLDS * WORKGROUP_SIZE + local % FOLDS;
    var sum = summands[first];
    for (var i = FOLDS; i < WORKGROUP_SIZE; i += FOLDS) { sum += summands[first + i]; }
    folded[local] = sum;
  }
  workgroupBarrier();
  var total = vec4f();
  if (local < count) {
    for (var i = 0u; i < FOLDS; i++) { total += folded[local * FOLDS + i]; }
  }
  return total;
}
