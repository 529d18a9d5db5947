import type { Buffers } from '../../src/gpu/buffers.ts';

/** What fake buffers hold. */
export const held = new WeakMap<object, Uint8Array<ArrayBuffer>>();

/** A device whose buffers lie in memory, bindings of so many bytes at most. `made` counts the buffers' bytes. */
export function fakeBuffers(bindingBytes: number): { readonly device: GPUDevice; readonly buffers: Buffers; readonly made: () => number } {
  let total = 0;
  const buffers = {
    storage: (label: string, bytes: number) => {
      if (bytes > bindingBytes) throw new Error(`${label}: ${bytes} bytes are more than a binding`);
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
  const device = { limits: { maxStorageBufferBindingSize: bindingBytes }, queue: { writeBuffer } } as unknown as GPUDevice;
  return { device, buffers, made: () => total };
}
