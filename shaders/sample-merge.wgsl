// The token of each sampler from its chunks' candidates.      best: (samplers, CHUNKS)   ids: (samplers)   state: (state slots, 2)
// One thread per sampler. The token goes to `ids`, which JS reads, and to the sequence's state slot, where the next step's
// embedding finds it without waiting for JS; there it is counted, too, for the penalties. An end token makes the sequence done,
// and so does a poisoned row, which gives POISONED: only its own request fails. A sequence that is done gives INERT.
// From outside: VOCABULARY, CHUNKS; lib/step, lib/grid.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> best: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> state: array<u32>;
@group(0) @binding(3) var<storage, read_write> adjust: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> ids: array<u32>;

const POISONED = 0xffffffffu;
const INERT = 0xfffffffeu;
const ADJUSTS = 1u;
const STARTS = 4u;   // the row was given its token: whatever the slot's last owner left is over

fn is_end(record: u32, token: u32) -> bool {
  let first = step[record + 13u];
  for (var i = 0u; i < step[record + 14u]; i++) {
    if (step[first + i] == token) { return true; }
  }
  return false;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  if (i >= sampler_count()) { return; }
  let record = record_at(i);
  let slot = step[record + 1u];
  let flags = step[record + 6u];
  if ((flags & STARTS) == 0u && state[2u * slot + 1u] != 0u) {
    ids[i] = INERT;
    return;
  }
  var winner = best[i * CHUNKS];
  var poisoned = winner.z != 0u;
  for (var chunk = 1u; chunk < CHUNKS; chunk++) {
    let candidate = best[i * CHUNKS + chunk];
    poisoned = poisoned || candidate.z != 0u;
    if (bitcast<f32>(candidate.x) > bitcast<f32>(winner.x)) { winner = candidate; }
  }
  state[2u * slot] = winner.y;
  state[2u * slot + 1u] = u32(poisoned || is_end(record, winner.y));
  ids[i] = select(winner.y, POISONED, poisoned);
  if (poisoned || (flags & ADJUSTS) == 0u) { return; }
  adjust[slot * ((VOCABULARY + 3u) / 4u) * 4u + winner.y].x += 1u;
}
