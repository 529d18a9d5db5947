// Linear index of this invocation. Grids are folded over y because a dimension holds at most 65,535 workgroups.
fn thread_index(workgroup: vec3u, grid: vec3u, local: u32) -> u32 {
  return (workgroup.y * grid.x + workgroup.x) * WORKGROUP_SIZE + local;
}

// The same of a workgroup, for kernels whose workgroup has one task.
fn workgroup_index(workgroup: vec3u, grid: vec3u) -> u32 {
  return workgroup.y * grid.x + workgroup.x;
}
