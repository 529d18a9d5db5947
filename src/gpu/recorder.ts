import type { Dispatch } from './pipelines.ts';

/** WebGPU's floor, and what every device has: wider grids are folded over y. */
const MAX_WORKGROUPS = 65_535;

/** Records one dispatch with at least `threads` invocations into a pass; nothing where there are none. */
export function record(pass: GPUComputePassEncoder, dispatch: Dispatch, threads: number): void {
  if (threads === 0) return;
  const workgroups = Math.ceil(threads / dispatch.workgroupSize);
  const y = Math.ceil(workgroups / MAX_WORKGROUPS);
  pass.setPipeline(dispatch.pipeline);
  pass.setBindGroup(0, dispatch.bindGroup);
  pass.dispatchWorkgroups(Math.ceil(workgroups / y), y);
}
