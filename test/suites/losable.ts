import type { GpuProvider } from '../../src/engine/types.ts';

/** A provider whose devices can be lost, as a driver's reset loses them. */
export interface LosableGpu extends GpuProvider {
  /** Loses the device that was given last. */
  lose(): void;
  /** Devices that were given. */
  devices(): number;
  /** From now on no device is given. */
  refuse(): void;
  /** Calls it after each device that is given. */
  onDevice(listener: () => void): void;
}

export function losable(provider: GpuProvider): LosableGpu {
  let latest: GPUDevice | undefined;
  let devices = 0;
  let refuses = false;
  let given: () => void = () => undefined;
  return {
    requestAdapter: async (options) => {
      if (refuses) return null;
      const adapter = (await provider.requestAdapter(options)) as GPUAdapter;
      const requestDevice = adapter.requestDevice.bind(adapter);
      const watched = async (descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> => {
        latest = await requestDevice(descriptor);
        devices += 1;
        given();
        return latest;
      };
      Object.defineProperty(adapter, 'requestDevice', { value: watched });
      return adapter;
    },
    lose: () => latest?.destroy(),
    devices: () => devices,
    refuse: () => (refuses = true),
    onDevice: (listener) => (given = listener),
  };
}
