// How many loads its threads issue: each COUNT (a multiple of 8) vec4 out of 4096 that stay near, threads starting APART.
// source: 4096 vec4   sink: (threads)
// From outside: COUNT, APART.
@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sink: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let at = i * APART;
  var s0 = vec4f();
  var s1 = vec4f();
  for (var k = 0u; k < COUNT; k += 8u) {
    s0 += source[(at + k + 0u) & 4095u];
    s1 += source[(at + k + 1u) & 4095u];
    s0 += source[(at + k + 2u) & 4095u];
    s1 += source[(at + k + 3u) & 4095u];
    s0 += source[(at + k + 4u) & 4095u];
    s1 += source[(at + k + 5u) & 4095u];
    s0 += source[(at + k + 6u) & 4095u];
    s1 += source[(at + k + 7u) & 4095u];
  }
  sink[i] = s0 + s1;
}
