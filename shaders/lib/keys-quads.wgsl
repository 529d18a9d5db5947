// Keys, or values, that the four threads of a quad all need: each reads one of four and hands it round. Workgroups are one quad.
// Devices that run on the CPU read for every lane apart, even where all read the same. The other form: keys-alone.
// A quad is taken to be four neighbours by local_invocation_index, as it is there; the self-check of a device tells where it is not.
// From outside: DIM4, WINDOW; lib/grid, lib/pool-*.
const LANES = 4u;   // threads that share what they read
const_assert WORKGROUP_SIZE == LANES;   // what a quad does, all of its threads do at once

struct Four { a: vec4f, b: vec4f, c: vec4f, d: vec4f }
alias Places = u32;

// Which threads share is the same for all that share: one number for them.
fn sharing_index(workgroup: vec3u, grid: vec3u, local: u32) -> u32 { return workgroup_index(workgroup, grid); }

// Where this thread's one of keys `key` to `key + 3` of a page that starts at `start` lies; those before `least` and past `last` as these.
fn places(start: u32, key: u32, least: u32, last: u32, lane: u32) -> Places {
  var own = min(key + lane, last);
  if (WINDOW > 0u) { own = max(own, least); }
  return start + own * DIM4;
}

fn hand_round(held: vec4f) -> Four {
  return Four(quadBroadcast(held, 0u), quadBroadcast(held, 1u), quadBroadcast(held, 2u), quadBroadcast(held, 3u));
}

// Quad i of these keys.
fn four(at: Places, i: u32) -> Four { return hand_round(unpack_quad(pool[at + i])); }

// The same through the kernel's `cleaned`, for keys from `key` on.
fn cleaned_four(at: Places, i: u32, key: u32, lane: u32) -> Four {
  return hand_round(cleaned(unpack_quad(pool[at + i]), key + lane));
}

fn least_of_sharing(value: u32) -> u32 {
  return min(min(quadBroadcast(value, 0u), quadBroadcast(value, 1u)), min(quadBroadcast(value, 2u), quadBroadcast(value, 3u)));
}
