import { createBuffers } from '../../src/gpu/buffers.ts';
import { openGpu } from '../../src/gpu/device.ts';
import { createReadbackRing, measureReadback, type Waiting } from '../../src/gpu/readback.ts';
import { logGpu } from './device-log.ts';
import { check, type Case, type Environment } from './suite.ts';

const SLOTS = 3;

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Twice round the ring, a few reads in flight at once: everyone gets the bytes of its own submit. */
async function checkRing({ gpu: provider }: Pick<Environment, 'gpu'>, nudge: Waiting['nudge']): Promise<void> {
  const log = logGpu(provider);
  const { device, failure } = await openGpu(log);
  const { queue } = device;
  const buffers = createBuffers(device);
  const source = buffers.storage('numbers', 4 * 2 * SLOTS);
  queue.writeBuffer(
    source,
    0,
    Uint32Array.from({ length: 2 * SLOTS }, (_, i) => 100 + i),
  );
  const ring = createReadbackRing(buffers, 'ring', SLOTS, 4, { nudge, queue });
  for (let round = 0; round < 2; round++) {
    const reads = Array.from({ length: SLOTS }, (_, slot) => {
      const target = ring.next(4);
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, 4 * (round * SLOTS + slot), target, 0, 4);
      queue.submit([encoder.finish()]);
      return ring.read(target, 4, (bytes) => new Uint32Array(bytes)[0]!);
    });
    const read = await Promise.all(reads);
    const expected = reads.map((_, slot) => 100 + round * SLOTS + slot);
    check(read.join() === expected.join(), () => `read ${read.join()}, expected ${expected.join()}`);
  }
  const before = log.submits.length;
  await rest(50);
  check(log.submits.length === before, () => `${log.submits.length - before} submits while nobody waited`);
  check(nudge === 'submit' || before === 2 * SLOTS, () => `${before} submits without nudging, ${2 * SLOTS} expected`);
  buffers.destroy();
  device.destroy();
  check(failure() === undefined, () => `the GPU said ${failure()!.message}`);
}

async function checkMeasured({ gpu: provider }: Pick<Environment, 'gpu'>): Promise<void> {
  const log = logGpu(provider);
  const { device, failure } = await openGpu(log);
  const { ms, nudge } = await measureReadback(device);
  check(ms >= 0 && ms < 1000, () => `a read-back of ${ms} ms`);
  check(nudge === 'none' || nudge === 'submit', () => `nudge is ${String(nudge)}`);
  const before = log.submits.length;
  await rest(50);
  check(log.submits.length === before, () => `${log.submits.length - before} submits after it was measured`);
  check(log.liveBuffers().length === 0, () => `it left ${log.liveBuffers().join(', ')}`);
  device.destroy();
  check(failure() === undefined, () => `the GPU said ${failure()!.message}`);
}

/** The way of results back to JS. */
export function readbackCases(environment: Pick<Environment, 'gpu'>): Case[] {
  return [
    { name: 'waiting: everyone gets its own bytes', run: () => checkRing(environment, 'none') },
    { name: 'nudging: the same, and no submit when nobody waits', run: () => checkRing(environment, 'submit') },
    { name: 'its time is measured, and nothing stays behind', run: () => checkMeasured(environment) },
  ];
}
