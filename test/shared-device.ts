import type { GpuProvider } from '../src/engine/types.ts';

/** What is compiled on a device, by its text. */
interface Compiled {
  readonly device: GPUDevice;
  readonly modules: Map<string, GPUShaderModule>;
  readonly pipelines: Map<string, Promise<GPUComputePipeline>>;
}

/**
 * A provider that gives everyone who asks for the same features and limits one device, on which what was compiled once is not compiled
 * again: a software device takes ten seconds for a model's kernels, whose texts are the same for most models. Whoever destroys the device
 * loses it and the buffers made through it; the others keep theirs.
 */
export function sharedDevice(provider: GpuProvider): GpuProvider {
  const opened = new Map<string, Promise<Compiled>>();
  const open = async (adapter: GPUAdapter, descriptor: GPUDeviceDescriptor | undefined): Promise<Compiled> => {
    const key = JSON.stringify([[...(descriptor?.requiredFeatures ?? [])].sort(), descriptor?.requiredLimits]);
    const there = await opened.get(key);
    if (there) return there;
    const opening = adapter.requestDevice(descriptor).then((device) => ({ device, modules: new Map(), pipelines: new Map() }));
    opened.set(key, opening);
    const made = await opening.catch((error: unknown) => {
      opened.delete(key);
      throw error;
    });
    void made.device.lost.then(() => opened.delete(key));
    return made;
  };
  return {
    requestAdapter: async (options) => {
      const adapter = (await provider.requestAdapter(options)) as GPUAdapter | null;
      if (adapter === null) return null;
      return overlaid(adapter, { requestDevice: async (descriptor?: GPUDeviceDescriptor) => oneOf(await open(adapter, descriptor)) });
    },
  };
}

/** The object with other members; what is defined or set on it later stays off the object, too. */
function overlaid<T extends object>(object: T, given: object): T {
  const members = Object.assign(Object.create(null) as object, given);
  return new Proxy(object, {
    get: (_, name) => {
      if (name in members) return Reflect.get(members, name) as unknown;
      const value = Reflect.get(object, name, object) as unknown;
      return typeof value === 'function' ? (value.bind(object) as unknown) : value;
    },
    set: (_, name, value) => Reflect.set(members, name, value),
    defineProperty: (_, name, descriptor) => Reflect.defineProperty(members, name, { ...descriptor, configurable: true }),
  });
}

/** The device as one of its users has it. */
function oneOf({ device, modules, pipelines }: Compiled): GPUDevice {
  const made = new Set<{ destroy(): undefined }>();
  const kept = <T extends { destroy(): undefined }>(object: T): T => {
    made.add(object);
    return object;
  };
  let destroyed!: (info: GPUDeviceLostInfo) => void;
  const lost = new Promise<GPUDeviceLostInfo>((resolve) => {
    destroyed = resolve;
  });
  const textOf = new Map<GPUShaderModule, string>();
  return overlaid(device, {
    queue: overlaid(device.queue, {}),
    lost: Promise.race([device.lost, lost]),
    destroy: () => {
      for (const object of made) object.destroy();
      made.clear();
      destroyed({ reason: 'destroyed', message: 'destroyed by its user' } as GPUDeviceLostInfo);
    },
    createBuffer: (descriptor: GPUBufferDescriptor) => kept(device.createBuffer(descriptor)),
    createQuerySet: (descriptor: GPUQuerySetDescriptor) => kept(device.createQuerySet(descriptor)),
    createShaderModule: (descriptor: GPUShaderModuleDescriptor) => {
      const module = modules.get(descriptor.code) ?? device.createShaderModule(descriptor);
      modules.set(descriptor.code, module);
      textOf.set(module, descriptor.code);
      return module;
    },
    createComputePipelineAsync: (descriptor: GPUComputePipelineDescriptor) => {
      // kernels of one text have one layout
      const key = `${descriptor.label} ${textOf.get(descriptor.compute.module)}`;
      const there = pipelines.get(key);
      if (there) return there;
      const compiling = device.createComputePipelineAsync(descriptor);
      pipelines.set(key, compiling);
      compiling.catch(() => pipelines.delete(key));
      return compiling;
    },
  });
}
