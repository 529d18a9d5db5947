// Keys, or values, that a thread reads for itself. The other form: keys-quads.
// From outside: DIM4, WINDOW; lib/grid, lib/pool-*.
const LANES = 1u;   // threads that share what they read

struct Four { a: vec4f, b: vec4f, c: vec4f, d: vec4f }
alias Places = vec4u;

// Which threads share is the same for all that share: one number for them.
fn sharing_index(workgroup: vec3u, grid: vec3u, local: u32) -> u32 { return thread_index(workgroup, grid, local); }

// Where keys `key` to `key + 3` of a page that starts at `start` lie; those before `least` and past `last` as these.
fn places(start: u32, key: u32, least: u32, last: u32, lane: u32) -> Places {
  var keys = min(vec4u(key, key + 1u, key + 2u, key + 3u), vec4u(last));
  if (WINDOW > 0u) { keys = max(keys, vec4u(least)); }
  return start + keys * DIM4;
}

// Quad i of these keys.
fn four(at: Places, i: u32) -> Four {
  return Four(unpack_quad(pool[at.x + i]), unpack_quad(pool[at.y + i]), unpack_quad(pool[at.z + i]), unpack_quad(pool[at.w + i]));
}

// The same through the kernel's `cleaned`, for keys from `key` on.
fn cleaned_four(at: Places, i: u32, key: u32, lane: u32) -> Four {
  let v = four(at, i);
  return Four(cleaned(v.a, key), cleaned(v.b, key + 1u), cleaned(v.c, key + 2u), cleaned(v.d, key + 3u));
}

fn least_of_sharing(value: u32) -> u32 { return value; }
