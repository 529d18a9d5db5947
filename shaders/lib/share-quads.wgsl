// Sixteen columns of x, bound as `x: array<vec4f>`, for the four threads of a quad that all need them: each reads four and hands them
// round. Devices that run on the CPU read for every lane apart, even where all read the same. The other form: share-none.
// A quad is taken to be four neighbours by local_invocation_index, as it is there; the self-check of a device tells where it is not.
alias Sixteen = vec4f;

fn hold(at: u32, lane: u32) -> Sixteen { return x[at + (lane & 3u)]; }
fn first(held: Sixteen) -> vec4f { return quadBroadcast(held, 0u); }
fn second(held: Sixteen) -> vec4f { return quadBroadcast(held, 1u); }
fn third(held: Sixteen) -> vec4f { return quadBroadcast(held, 2u); }
fn fourth(held: Sixteen) -> vec4f { return quadBroadcast(held, 3u); }
