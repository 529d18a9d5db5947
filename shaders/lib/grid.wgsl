// Linear index of this invocation. Grids are folded over y because a dimension holds at most 65,535 workgroups.
fn thread_index(workgroup: vec3u, grid: vec3u, local: u32) -> u32 {
  return (workgroup.y * grid.x + workgroup.x) * WORKGROUP_SIZE + local;
}
