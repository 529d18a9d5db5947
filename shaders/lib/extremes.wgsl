// Largest and smallest logit of quads `first`, `first + stride` and so on below `end`, as a sampler changes them. There is one zero, so that
// the order in which they are compared does not show.
// From outside: LOGITS_STRIDE4; lib/sampler.
fn extremes_among(sampler: Sampler, first: u32, end: u32, stride: u32) -> vec2f {
  var most = vec4f(-MOST_ADJUSTED);
  var least = vec4f(MOST_ADJUSTED);
  for (var q = first; q < end; q += stride) {
    let values = bounded(adjusted(logits[sampler.row * LOGITS_STRIDE4 + q], sampler, q));
    most = select(most, max(most, values), in_vocabulary(q));
    least = select(least, min(least, values), in_vocabulary(q));
  }
  let found = vec2f(max(max(most.x, most.y), max(most.z, most.w)), min(min(least.x, least.y), min(least.z, least.w)));
  return select(found, vec2f(), found == vec2f());
}
