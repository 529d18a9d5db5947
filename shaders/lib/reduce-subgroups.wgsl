// Sums over a workgroup: each subgroup sums its own, then the subgroups' sums are added in the order of their first threads.
// Thread i is given the sum of every thread's value i, for i < count <= 4. To be called once, where all threads come by.
// How many subgroups there are, and which threads they have, is found out here: nothing says that neighbours share one.
const LEAST_SUBGROUP = 4u;
const MASKS = (WORKGROUP_SIZE + 31u) / 32u;
var<workgroup> leaders: array<atomic<u32>, MASKS>;   // a bit for every thread that speaks for its subgroup
var<workgroup> summands: array<vec4f, 4u * WORKGROUP_SIZE / LEAST_SUBGROUP>;

// Leaders below thread `end`.
fn leaders_below(end: u32) -> u32 {
  var count = 0u;
  for (var i = 0u; i < end / 32u; i++) { count += countOneBits(atomicLoad(&leaders[i])); }
  if (end % 32u > 0u) { count += countOneBits(atomicLoad(&leaders[end / 32u]) & ((1u << (end % 32u)) - 1u)); }
  return count;
}

fn sum_of_workgroup(local: u32, count: u32, value0: vec4f, value1: vec4f, value2: vec4f, value3: vec4f) -> vec4f {
  let leads = subgroupElect();
  if (leads) { atomicOr(&leaders[local / 32u], 1u << (local % 32u)); }
  let sum0 = subgroupAdd(value0);
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
  if (count > 1u) {
    sum1 = subgroupAdd(value1);
    sum2 = subgroupAdd(value2);
    sum3 = subgroupAdd(value3);
  }
  workgroupBarrier();
  if (leads) {
    let at = 4u * leaders_below(local);
    summands[at] = sum0;
    summands[at + 1u] = sum1;
    summands[at + 2u] = sum2;
    summands[at + 3u] = sum3;
  }
  workgroupBarrier();
  var total = vec4f();
  if (local < count) {
    let subgroups = leaders_below(WORKGROUP_SIZE);
    for (var i = 0u; i < subgroups; i++) { total += summands[4u * i + local]; }
  }
  return total;
}
