import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createBuffers } from '../../src/gpu/buffers.ts';
import { createReadbackRing, measureReadback } from '../../src/gpu/readback.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

interface Behaviour {
  /** After which a map resolves by itself. */
  readonly waited: number;
  /** After which it resolves at the next submit. */
  readonly nudged: number;
  readonly lost?: boolean;
}

/** A device whose maps resolve as a browser's do. */
function fakeDevice({ waited, nudged, lost }: Behaviour): { device: GPUDevice; submits(): number; buffers(): number } {
  const asked = new Set<{ readonly at: number; readonly resolve: () => void }>();
  let submits = 0;
  let buffers = 0;
  const submit = (): void => {
    submits += 1;
    for (const map of asked) if (performance.now() - map.at >= nudged) map.resolve();
  };
  const mapAsync = (): Promise<void> => {
    if (lost) return Promise.reject(new Error('lost'));
    return new Promise((resolve) => {
      const map = { at: performance.now(), resolve: () => (asked.delete(map), resolve()) };
      asked.add(map);
      setTimeout(map.resolve, waited);
    });
  };
  const createBuffer = ({ size }: GPUBufferDescriptor): object => {
    buffers += 1;
    const destroy = (): void => void (buffers -= 1);
    return { size, mapAsync, unmap: () => undefined, getMappedRange: () => new ArrayBuffer(4), destroy };
  };
  const device = {
    createBuffer,
    pushErrorScope: () => undefined,
    popErrorScope: async () => null,
    createCommandEncoder: () => ({ copyBufferToBuffer: () => undefined, finish: () => ({}) }),
    queue: { submit },
  };
  return { device: device as unknown as GPUDevice, submits: () => submits, buffers: () => buffers };
}

async function measured(behaviour: Behaviour): Promise<{ ms: number; nudge: string; left: number }> {
  const { device, buffers } = fakeDevice(behaviour);
  const measuring = measureReadback(device);
  await vi.advanceTimersByTimeAsync(400);
  return { ...(await measuring), left: buffers() };
}

describe('how long results take back', () => {
  test('as in Dawn: nobody nudges', async () => {
    expect(await measured({ waited: 0.2, nudged: 0.1 })).toMatchObject({ nudge: 'none', left: 0 });
  });

  test('as in Deno: a nudge changes nothing', async () => {
    expect(await measured({ waited: 11, nudged: 1000 })).toMatchObject({ ms: 11, nudge: 'none', left: 0 });
  });

  test('as in Firefox: a nudge helps', async () => {
    const { ms, nudge } = await measured({ waited: 97, nudged: 1 });
    expect(nudge).toBe('submit');
    expect(ms).toBeLessThan(5);
  });

  test('it is bounded', async () => {
    const { device } = fakeDevice({ waited: 97, nudged: 97 });
    const began = performance.now();
    const measuring = measureReadback(device).then(() => performance.now() - began);
    await vi.advanceTimersByTimeAsync(2000);
    expect(await measuring).toBeLessThan(400);
  });

  test('a lost device says so, and nothing stays', async () => {
    const { device, buffers } = fakeDevice({ waited: 1, nudged: 1, lost: true });
    await expect(measureReadback(device)).rejects.toMatchObject({ code: 'device_lost' });
    expect([vi.getTimerCount(), buffers()]).toEqual([0, 0]);
  });
});

describe('a ring', () => {
  test('nudges while a read waits, with one timer, and not a moment longer', async () => {
    const { device, submits } = fakeDevice({ waited: 97, nudged: 5 });
    const ring = createReadbackRing(createBuffers(device), 'ring', 2, 4, { nudge: 'submit', queue: device.queue });
    expect(vi.getTimerCount()).toBe(0);
    const reads = [0, 1].map(() => ring.read(ring.next(4), 4, (bytes) => bytes.byteLength));
    expect(vi.getTimerCount()).toBe(3); // two maps, one that nudges
    await vi.advanceTimersByTimeAsync(7);
    expect(await Promise.all(reads)).toEqual([4, 4]);
    const made = submits();
    expect(made).toBeGreaterThan(0);
    await vi.advanceTimersByTimeAsync(500);
    expect(submits()).toBe(made);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([undefined, 'none' as const])('makes nothing where it does not nudge: %s', async (nudge) => {
    const { device, submits } = fakeDevice({ waited: 97, nudged: 5 });
    const ring = createReadbackRing(createBuffers(device), 'ring', 1, 4, nudge && { nudge, queue: device.queue });
    const read = ring.read(ring.next(4), 4, () => 'read');
    expect(vi.getTimerCount()).toBe(1); // the map's own
    await vi.advanceTimersByTimeAsync(97);
    expect(await read).toBe('read');
    expect(submits()).toBe(0);
  });

  test('a read that fails takes its timer along', async () => {
    const { device } = fakeDevice({ waited: 1, nudged: 1, lost: true });
    const ring = createReadbackRing(createBuffers(device), 'ring', 1, 4, { nudge: 'submit', queue: device.queue });
    await expect(ring.read(ring.next(4), 4, () => 0)).rejects.toMatchObject({ code: 'device_lost' });
    expect(vi.getTimerCount()).toBe(0);
  });
});
