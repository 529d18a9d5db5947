import { WebLoraError } from '../errors.ts';
import { MAP_READ_MODE, type Buffers } from './buffers.ts';

/**
 * A ring of buffers that the GPU copies results into and JS maps, so that a step never waits for the one before.
 * Buffers are made once and reused in turn; one grows only when a request first asks for more bytes (log-probabilities).
 */
export interface ReadbackRing {
  /** The next buffer, at least `bytes` long. Call `read` after the submit that fills it, and before the ring comes round. */
  next(bytes: number): GPUBuffer;
  /** Maps it and hands its bytes to `use`, which must copy what it keeps. Throws `device_lost` where the device is gone. */
  read<T>(buffer: GPUBuffer, bytes: number, use: (bytes: ArrayBuffer) => T): Promise<T>;
}

export function createReadbackRing(buffers: Buffers, label: string, depth: number, bytes: number): ReadbackRing {
  const ring = Array.from({ length: depth }, () => buffers.readback(label, bytes));
  let turn = 0;
  return {
    next: (wanted) => {
      const index = turn;
      turn = (turn + 1) % depth;
      if (ring[index]!.size < wanted) {
        buffers.drop(ring[index]!);
        ring[index] = buffers.readback(label, wanted);
      }
      return ring[index]!;
    },
    read: async (buffer, length, use) => {
      try {
        await buffer.mapAsync(MAP_READ_MODE, 0, length);
      } catch (cause) {
        throw new WebLoraError('device_lost', `The GPU device was lost while a step ran: ${String(cause)}`, { cause });
      }
      const value = use(buffer.getMappedRange(0, length));
      buffer.unmap();
      return value;
    },
  };
}
