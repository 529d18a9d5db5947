import type { GpuProvider } from '../../src/engine/types.ts';

/** What the GPU was given by one submit. */
export interface Submitted {
  /** Labels of the dispatched pipelines, in order. */
  readonly dispatches: readonly string[];
  /** Bytes that its copies put into buffers that JS can map. */
  readonly bytesBack: number;
  /** Buffers, bind groups and pipelines that had been made since the device was, as of this submit. */
  readonly made: Made;
}

export interface Made {
  readonly buffers: number;
  readonly bindGroups: number;
  readonly pipelines: number;
}

/** A provider whose devices write down what is done with them. */
export interface LoggedGpu extends GpuProvider {
  readonly submits: Submitted[];
  /** Labels of the buffers that were made and not destroyed one by one. */
  liveBuffers(): readonly string[];
  liveBytes(): number;
  /** Bytes of all ranges that JS has mapped. */
  mappedBytes(): number;
  /** Devices that were opened and not destroyed. */
  liveDevices(): number;
}

const MAP_READ = 0x1;

/** Replaces a method of one object by one that sees the arguments and the result; the object stays the native one. */
function watch<T extends object, K extends keyof T>(target: T, name: K, seen: (args: readonly unknown[], result: unknown) => void): void {
  const original = target[name] as unknown as (...args: unknown[]) => unknown;
  const wrapped = (...args: unknown[]): unknown => {
    const result = original.apply(target, args);
    seen(args, result);
    return result;
  };
  Object.defineProperty(target, name, { value: wrapped, configurable: true, writable: true });
}

/** Wraps a provider's `requestAdapter`, its adapters' `requestDevice`, and what a device makes and does. */
export function logGpu(provider: GpuProvider): LoggedGpu {
  const live = new Map<GPUBuffer, { readonly label: string; readonly bytes: number }>();
  const submits: Submitted[] = [];
  const made = { buffers: 0, bindGroups: 0, pipelines: 0 };
  const labels = new WeakMap<object, string>();
  const commands = new WeakMap<object, { readonly dispatches: string[]; bytesBack: number }>();
  let mapped = 0;
  let devices = 0;

  const watchBuffer = (buffer: GPUBuffer, descriptor: GPUBufferDescriptor): void => {
    made.buffers++;
    live.set(buffer, { label: descriptor.label ?? '', bytes: descriptor.size });
    watch(buffer, 'destroy', () => void live.delete(buffer));
    watch(buffer, 'mapAsync', ([, offset, size]) => {
      mapped += (size as number | undefined) ?? descriptor.size - ((offset as number | undefined) ?? 0);
    });
  };
  const watchPass = (pass: GPUComputePassEncoder, dispatches: string[]): void => {
    let pipeline = '';
    watch(pass, 'setPipeline', ([next]) => void (pipeline = labels.get(next as object) ?? '?'));
    watch(pass, 'dispatchWorkgroups', () => void dispatches.push(pipeline));
    watch(pass, 'dispatchWorkgroupsIndirect', () => void dispatches.push(pipeline));
  };
  const watchEncoder = (encoder: GPUCommandEncoder): void => {
    const command = { dispatches: [] as string[], bytesBack: 0 };
    watch(encoder, 'beginComputePass', (_, pass) => watchPass(pass as GPUComputePassEncoder, command.dispatches));
    watch(encoder, 'copyBufferToBuffer', (args) => {
      // (source, target, size) or (source, sourceOffset, target, targetOffset, size)
      const target = args.slice(1).find((arg) => typeof arg === 'object') as GPUBuffer;
      if ((target.usage & MAP_READ) !== 0) command.bytesBack += (args.at(-1) as number | undefined) ?? target.size;
    });
    watch(encoder, 'finish', (_, buffer) => void commands.set(buffer as object, command));
  };
  const watchQueue = (queue: GPUQueue): void =>
    watch(queue, 'submit', ([buffers]) => {
      const all = [...(buffers as Iterable<object>)].map((buffer) => commands.get(buffer)!);
      submits.push({
        dispatches: all.flatMap(({ dispatches }) => dispatches),
        bytesBack: all.reduce((sum, { bytesBack }) => sum + bytesBack, 0),
        made: { ...made },
      });
    });
  const watchDevice = (device: GPUDevice): void => {
    devices++;
    const { queue } = device;
    watchQueue(queue);
    Object.defineProperty(device, 'queue', { value: queue, configurable: true });
    watch(device, 'createBuffer', ([descriptor], buffer) => watchBuffer(buffer as GPUBuffer, descriptor as GPUBufferDescriptor));
    watch(device, 'createBindGroup', () => void made.bindGroups++);
    const pipelineMade = (descriptor: unknown, pipeline: object): void => {
      labels.set(pipeline, (descriptor as GPUComputePipelineDescriptor).label ?? '?');
    };
    watch(device, 'createComputePipeline', ([descriptor], pipeline) => {
      made.pipelines++;
      pipelineMade(descriptor, pipeline as object);
    });
    watch(device, 'createComputePipelineAsync', ([descriptor], pipeline) => {
      made.pipelines++;
      (pipeline as Promise<object>).then((compiled) => pipelineMade(descriptor, compiled)).catch(() => undefined);
    });
    watch(device, 'createCommandEncoder', (_, encoder) => watchEncoder(encoder as GPUCommandEncoder));
    let open = true;
    watch(device, 'destroy', () => {
      if (open) devices--;
      open = false;
    });
  };

  return {
    submits,
    liveBuffers: () => [...live.values()].map(({ label }) => label),
    liveBytes: () => [...live.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    mappedBytes: () => mapped,
    liveDevices: () => devices,
    requestAdapter: async (options) => {
      const adapter = (await provider.requestAdapter(options)) as GPUAdapter | null;
      if (!adapter) return adapter;
      const requestDevice = adapter.requestDevice.bind(adapter);
      Object.defineProperty(adapter, 'requestDevice', {
        value: async (descriptor?: GPUDeviceDescriptor) => {
          const device = await requestDevice(descriptor);
          watchDevice(device);
          return device;
        },
        configurable: true,
      });
      return adapter;
    },
  };
}
