// What earlier steps left of each running sequence: `state: array<u32>` holds two words a slot, the last sampled token and
// whether the sequence is done. Steps run ahead of JS, which learns late that a sequence has ended: the decode rows that it
// still gets are inert. They are computed with the others, and nothing of them is kept.
const TOKEN_IN_STATE = 0x80000000u;

fn token_of(row: Row) -> u32 {
  if ((row.token & TOKEN_IN_STATE) == 0u) { return row.token; }
  return state[2u * (row.token & ~TOKEN_IN_STATE)];
}

fn is_inert(row: Row) -> bool {
  return (row.token & TOKEN_IN_STATE) != 0u && state[2u * (row.token & ~TOKEN_IN_STATE) + 1u] != 0u;
}
