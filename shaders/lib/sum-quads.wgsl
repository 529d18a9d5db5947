// Four threads that sum apart and then together, by a quad's own operations. A quad is taken to be four neighbours by
// local_invocation_index (see share-quads). The other form: sum-memory.
const LANES = 4u;

fn sum_over_lanes(local: u32, s: vec4f) -> vec4f {
  return (quadBroadcast(s, 0u) + quadBroadcast(s, 1u)) + (quadBroadcast(s, 2u) + quadBroadcast(s, 3u));
}
