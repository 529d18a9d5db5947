import type { Buffers } from '../../src/gpu/buffers.ts';

/** What fake buffers hold. */
export const held = new WeakMap<object, Uint8Array<ArrayBuffer>>();

/** Which of a device's limits is the lower one. */
export type Lower = 'maxStorageBufferBindingSize' | 'maxBufferSize';

/** A device whose buffers lie in memory, bindings (or buffers) of so many bytes at most. `made` counts the buffers' bytes. */
export function fakeBuffers(
  most: number,
  lower: Lower = 'maxStorageBufferBindingSize',
): { readonly device: GPUDevice; readonly buffers: Buffers; readonly made: () => number } {
  let total = 0;
  const buffers = {
    storage: (label: string, bytes: number) => {
      if (bytes > most) throw new Error(`${label}: ${bytes} bytes are more than ${lower}`);
      const buffer = { label };
      held.set(buffer, new Uint8Array(bytes));
      total += bytes;
      return buffer;
    },
    settled: async () => undefined,
  } as unknown as Buffers;
  const writeBuffer = (buffer: object, at: number, bytes: Uint8Array, from = 0, size = bytes.length - from): void => {
    if (at % 4 !== 0 || size % 4 !== 0) throw new Error(`a write of ${size} bytes at ${at}`);
    held.get(buffer)!.set(bytes.subarray(from, from + size), at);
  };
  const limits = { maxStorageBufferBindingSize: 2 * most, maxBufferSize: 2 * most, [lower]: most };
  const device = { limits, queue: { writeBuffer } } as unknown as GPUDevice;
  return { device, buffers, made: () => total };
}
