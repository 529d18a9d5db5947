// logits = CAP * tanh(logits / CAP), in place      logits: (logit rows, STRIDE4 * 4)
// One thread per 4 numbers.
// From outside: STRIDE4, CAP; lib/step, lib/grid, lib/softcap.
@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read_write> logits: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  if (i / STRIDE4 >= logit_row_count()) { return; }
  logits[i] = softcapped(logits[i], CAP);
}
