// How fast a device multiplies and adds: COUNT rounds of four chains of eight vec4 multiply-adds each.
// source: 8 vec4, below 2   sink: (threads)
// From outside: COUNT.
@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sink: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let m = source[i & 7u] * 0.5;
  let c = source[(i + 1u) & 7u];
  var s0 = c * 0.5;
  var s1 = c * 1.5;
  var s2 = c * 2.5;
  var s3 = c * 3.5;
  for (var k = 0u; k < COUNT; k++) {
    s0 = fma(s0, m, c);
    s1 = fma(s1, m, c);
    s2 = fma(s2, m, c);
    s3 = fma(s3, m, c);
    s0 = fma(s0, m, c);
    s1 = fma(s1, m, c);
    s2 = fma(s2, m, c);
    s3 = fma(s3, m, c);
    s0 = fma(s0, m, c);
    s1 = fma(s1, m, c);
    s2 = fma(s2, m, c);
    s3 = fma(s3, m, c);
    s0 = fma(s0, m, c);
    s1 = fma(s1, m, c);
    s2 = fma(s2, m, c);
    s3 = fma(s3, m, c);
    s0 = fma(s0, m, c);
    s1 = fma(s1, m, c);
    s2 = fma(s2, m, c);
    s3 = fma(s3, m, c);
    s0 = fma(s0, m, c);
    s1 = fma(s1, m, c);
    s2 = fma(s2, m, c);
    s3 = fma(s3, m, c);
    s0 = fma(s0, m, c);
    s1 = fma(s1, m, c);
    s2 = fma(s2, m, c);
    s3 = fma(s3, m, c);
    s0 = fma(s0, m, c);
    s1 = fma(s1, m, c);
    s2 = fma(s2, m, c);
    s3 = fma(s3, m, c);
  }
  sink[i] = s0 + s1 + s2 + s3;
}
