// The best pick of a workgroup: each subgroup's own, then the best of these. Thread 0 is given it.
// To be called once, where all threads come by. Which threads subgroups have is found out as in lib/reduce-subgroups.
// From outside: lib/pick.
const LEAST_SUBGROUP = 4u;
const MASKS = (WORKGROUP_SIZE + 31u) / 32u;
var<workgroup> leaders: array<atomic<u32>, MASKS>;   // a bit for every thread that speaks for its subgroup
var<workgroup> picks: array<vec4u, WORKGROUP_SIZE / LEAST_SUBGROUP>;

// Leaders below thread `end`.
fn leaders_below(end: u32) -> u32 {
  var count = 0u;
  for (var i = 0u; i < end / 32u; i++) { count += countOneBits(atomicLoad(&leaders[i])); }
  if (end % 32u > 0u) { count += countOneBits(atomicLoad(&leaders[end / 32u]) & ((1u << (end % 32u)) - 1u)); }
  return count;
}

fn pick_of_workgroup(local: u32, own: Pick) -> Pick {
  let leads = subgroupElect();
  if (leads) { atomicOr(&leaders[local / 32u], 1u << (local % 32u)); }
  let score = subgroupMax(own.score);
  let token = subgroupMin(select(NO_TOKEN, own.token, own.score == score));
  let other = subgroupMax(own.other);
  workgroupBarrier();
  if (leads) { picks[leaders_below(local)] = packed(Pick(score, token, other)); }
  workgroupBarrier();
  var best = own;
  if (local == 0u) {
    let subgroups = leaders_below(WORKGROUP_SIZE);
    for (var i = 0u; i < subgroups; i++) { best = better(best, unpacked(picks[i])); }
  }
  return best;
}
