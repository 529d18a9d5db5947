// The best pick of a workgroup through workgroup memory: first of every 16th thread's, then of these 16. Thread 0 is given it.
// To be called once, where all threads come by.
// From outside: lib/pick.
const FOLDS = 16u;
var<workgroup> picks: array<vec4u, WORKGROUP_SIZE>;
var<workgroup> folded: array<vec4u, FOLDS>;

fn pick_of_workgroup(local: u32, own: Pick) -> Pick {
  picks[local] = packed(own);
  workgroupBarrier();
  var best = own;
  if (local < FOLDS) {
    for (var i = local + FOLDS; i < WORKGROUP_SIZE; i += FOLDS) { best = better(best, unpacked(picks[i])); }
    folded[local] = packed(best);
  }
  workgroupBarrier();
  if (local == 0u) {
    for (var i = 1u; i < FOLDS; i++) { best = better(best, unpacked(folded[i])); }
  }
  return best;
}
