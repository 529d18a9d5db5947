// The token of a sampler goes to `ids`, which JS reads, and to the sequence's state slot, where the next step's embedding finds it without
// waiting for JS; there it is counted, too, for the penalties. An end token makes the sequence done, and so does a poisoned row, which gives
// POISONED: only its own request fails. A sequence that is done gives INERT.
// From outside: VOCABULARY.
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

fn take(i: u32, token: u32, poisoned: bool) {
  let record = record_at(i);
  let slot = step[record + 1u];
  let flags = step[record + 6u];
  if ((flags & STARTS) == 0u && state[2u * slot + 1u] != 0u) {
    ids[i] = INERT;
    return;
  }
  state[2u * slot] = token;
  state[2u * slot + 1u] = u32(poisoned || is_end(record, token));
  ids[i] = select(token, POISONED, poisoned);
  if (poisoned || (flags & ADJUSTS) == 0u) { return; }
  adjust[slot * ((VOCABULARY + 3u) / 4u) * 4u + token].x += 1u;
}
