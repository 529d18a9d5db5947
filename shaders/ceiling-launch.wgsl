// Does nothing, in a way that no compiler can leave out: what is left of a dispatch is its launch.
@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sink: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i == 0xffffffffu) { sink[0] = source[0]; }
}
