// How fast a device reads: each thread its own COUNT (a multiple of 8) vec4 once, STEP from one another, threads starting APART.
// source: (threads * COUNT)   sink: (threads)
// From outside: COUNT, APART, STEP.
@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sink: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let at = i * APART;
  var s0 = vec4f();
  var s1 = vec4f();
  for (var k = 0u; k < COUNT; k += 8u) {
    s0 += source[at + (k + 0u) * STEP];
    s1 += source[at + (k + 1u) * STEP];
    s0 += source[at + (k + 2u) * STEP];
    s1 += source[at + (k + 3u) * STEP];
    s0 += source[at + (k + 4u) * STEP];
    s1 += source[at + (k + 5u) * STEP];
    s0 += source[at + (k + 6u) * STEP];
    s1 += source[at + (k + 7u) * STEP];
  }
  sink[i] = s0 + s1;
}
