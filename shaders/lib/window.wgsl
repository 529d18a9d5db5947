// WINDOW is how many positions a row sees, its own included; 0: all before it.
// From outside: WINDOW.

// The first position that a row at this one sees.
fn first_key(position: u32) -> u32 {
  if (WINDOW == 0u) { return 0u; }
  return position + 1u - min(WINDOW, position + 1u);
}
