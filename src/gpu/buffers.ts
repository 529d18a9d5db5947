import { WebLoraError } from '../errors.ts';

/** Owns buffers: creates them inside error scopes, counts their bytes, and destroys all of them at once. */
export interface Buffers {
  /** A storage buffer of at least `bytes` bytes (rounded up to 256), filled with zeros by WebGPU. */
  storage(label: string, bytes: number): GPUBuffer;
  /** A few numbers that kernels read as a uniform. */
  uniform(label: string, bytes: number): GPUBuffer;
  /** A buffer that the GPU copies into and JS maps. */
  readback(label: string, bytes: number): GPUBuffer;
  /** A storage buffer that exists. Throws `out_of_memory`, and leaves nothing, where it does not. */
  allocate(label: string, bytes: number): Promise<GPUBuffer>;
  /** Waits until the device has said that every other allocation so far succeeded. Throws `out_of_memory`. */
  settled(): Promise<void>;
  /** Destroys one buffer before the others. */
  drop(buffer: GPUBuffer): void;
  bytes(): number;
  /** Destroys all of them. What is made later, by who had not heard of it, is destroyed at once. */
  destroy(): void;
}

/** `GPUBufferUsage` and `GPUMapMode` are no globals in Node; the numbers are WebGPU's own. */
export const USAGE = { MAP_READ: 0x1, COPY_SRC: 0x4, COPY_DST: 0x8, UNIFORM: 0x40, STORAGE: 0x80 } as const;
export const MAP_READ_MODE = 0x1;

const STORAGE_USAGE = USAGE.STORAGE | USAGE.COPY_DST | USAGE.COPY_SRC;

const sizeOf = (bytes: number): number => Math.max(256, Math.ceil(bytes / 256) * 256);

/** Throws `gpu_limit` where no kernel could be given so many bytes at once; `hint` says what makes them fewer. */
export function requireBindable({ limits }: Pick<GPUDevice, 'limits'>, label: string, bytes: number, hint: string): void {
  const most = limits.maxStorageBufferBindingSize;
  if (sizeOf(bytes) <= most) return;
  throw new WebLoraError('gpu_limit', `${label} would take ${bytes} bytes, and this device binds at most ${most}: ${hint}`);
}

export function createBuffers(device: GPUDevice): Buffers {
  const live = new Set<GPUBuffer>();
  let checks: Promise<void>[] = [];
  let total = 0;
  let over = false;

  const make = (label: string, bytes: number, usage: number): { readonly buffer: GPUBuffer; readonly check: Promise<void> } => {
    const size = sizeOf(bytes);
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    const buffer = device.createBuffer({ label, size, usage });
    live.add(buffer);
    total += size;
    const check = Promise.all([device.popErrorScope(), device.popErrorScope()]).then((errors) => {
      const error = errors.find((found) => found !== null);
      if (!error) return;
      const hint = 'lower memory.pool, limits.batchRows or maxModelLength, or take a smaller model';
      throw new WebLoraError('out_of_memory', `The GPU could not allocate ${size} bytes for ${label}: ${hint}. (${error.message})`);
    });
    check.catch(() => undefined); // whoever awaits it hears it
    if (over) drop(buffer);
    return { buffer, check };
  };
  const create = (label: string, bytes: number, usage: number): GPUBuffer => {
    const { buffer, check } = make(label, bytes, usage);
    checks.push(check);
    return buffer;
  };

  const drop = (buffer: GPUBuffer): void => {
    if (!live.delete(buffer)) return;
    total -= buffer.size;
    buffer.destroy();
  };

  return {
    storage: (label, bytes) => create(label, bytes, STORAGE_USAGE),
    allocate: async (label, bytes) => {
      const { buffer, check } = make(label, bytes, STORAGE_USAGE);
      try {
        await check;
      } catch (error) {
        drop(buffer);
        throw error;
      }
      return buffer;
    },
    uniform: (label, bytes) => create(label, bytes, USAGE.UNIFORM | USAGE.COPY_DST),
    readback: (label, bytes) => create(label, bytes, USAGE.MAP_READ | USAGE.COPY_DST),
    settled: async () => {
      const waiting = checks;
      checks = [];
      await Promise.all(waiting);
    },
    drop,
    bytes: () => total,
    destroy: () => {
      over = true;
      for (const buffer of live) drop(buffer);
    },
  };
}
