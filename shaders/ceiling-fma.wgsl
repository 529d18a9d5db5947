// How fast a device multiplies and adds: COUNT rounds of 32 vec4 multiply-adds each, in CHAINS (4 or 8) chains that wait for themselves only.
// source: 8 vec4, below 2   sink: (threads)
// From outside: COUNT, CHAINS.
@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sink: array<vec4f>;

struct Four { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

fn advanced(s: Four, m: vec4f, c: vec4f) -> Four { return Four(fma(s.a, m, c), fma(s.b, m, c), fma(s.c, m, c), fma(s.d, m, c)); }

fn sum(s: Four) -> vec4f { return s.a + s.b + s.c + s.d; }

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let m = source[i & 7u] * 0.5;
  let c = source[(i + 1u) & 7u];
  var s = Four(c * 0.5, c * 1.5, c * 2.5, c * 3.5);
  var t = Four(c * 4.5, c * 5.5, c * 6.5, c * 7.5);
  for (var k = 0u; k < COUNT; k++) {
    s = advanced(s, m, c);
    if (CHAINS > 4u) { t = advanced(t, m, c); } else { s = advanced(s, m, c); }
    s = advanced(s, m, c);
    if (CHAINS > 4u) { t = advanced(t, m, c); } else { s = advanced(s, m, c); }
    s = advanced(s, m, c);
    if (CHAINS > 4u) { t = advanced(t, m, c); } else { s = advanced(s, m, c); }
    s = advanced(s, m, c);
    if (CHAINS > 4u) { t = advanced(t, m, c); } else { s = advanced(s, m, c); }
  }
  sink[i] = sum(s) + sum(t);
}
