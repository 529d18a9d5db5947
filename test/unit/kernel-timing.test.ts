import { expect, test } from 'vitest';
import { normCase } from '../../src/engine/kernel-cases.ts';
import { rowsOf } from '../../src/engine/kernel-data.ts';
import { candidatesOf } from '../../src/engine/kernel-runs.ts';
import { timeCandidates } from '../../src/engine/kernel-timing.ts';
import { createTimer } from '../../src/engine/profile-timer.ts';
import type { Gpu } from '../../src/gpu/device.ts';
import type { Pipelines } from '../../src/gpu/pipelines.ts';
import { PLAIN } from '../../src/kernels/plain.ts';

/** Milliseconds between two readings of a coarse clock that differ. */
const COARSE = 0.1;

/** A device on which everything takes so many milliseconds, by a clock that is as coarse as browsers make it. */
function coarse(ms: number) {
  let now = 0;
  const device = {
    pushErrorScope: () => undefined,
    popErrorScope: async () => null,
    createBuffer: ({ size }: GPUBufferDescriptor) => ({ size, destroy: () => undefined }),
    queue: { writeBuffer: () => undefined },
  };
  const pipelines = { get: async () => ({}), bind: () => ({}) };
  const clock = {
    kind: 'timestamps' as const,
    time: async (_: unknown, repeats: number) => {
      const began = Math.floor(now / COARSE);
      now += ms * repeats;
      const ended = Math.floor(now / COARSE);
      now += 0.0371; // the next begins somewhere else
      return ((ended - began) * COARSE) / repeats;
    },
  };
  return { gpu: { device } as unknown as Gpu, pipelines: pipelines as unknown as Pipelines, clock };
}

test.each([0.002, 0.03, 0.2])('a kernel of %f ms is told by a clock of 0.1 ms', async (ms) => {
  const { gpu, pipelines, clock } = coarse(ms);
  const of = normCase({ width: 32, items: [rowsOf(0, 0, 1, { logitRows: 1 })], gathers: [0], output: 'replace' });
  const timings = await timeCandidates(gpu, pipelines, await createTimer(clock), of, candidatesOf(PLAIN, 'norm'));
  expect(timings).toHaveLength(1);
  for (const found of [timings[0]!.least, timings[0]!.ms, timings[0]!.most]) expect(Math.abs(found / ms - 1)).toBeLessThan(0.05);
});
