// Sixteen columns of x, bound as `x: array<vec4f>`, that a thread reads for itself when it comes to them. The other form: share-quads.
alias Sixteen = u32;

fn hold(at: u32, lane: u32) -> Sixteen { return at; }
fn first(at: Sixteen) -> vec4f { return x[at]; }
fn second(at: Sixteen) -> vec4f { return x[at + 1u]; }
fn third(at: Sixteen) -> vec4f { return x[at + 2u]; }
fn fourth(at: Sixteen) -> vec4f { return x[at + 3u]; }
