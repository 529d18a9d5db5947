import { WebLoraError } from '../errors.ts';

/** A WebGPU device with what the rest of the code asks of it. */
export interface Gpu {
  readonly device: GPUDevice;
  /** `vendor architecture description` as the driver gives it, for people and reports. */
  readonly description: string;
  /** True for SwiftShader, llvmpipe and other adapters that run on the CPU. */
  readonly software: boolean;
  /** The first error nobody caught, or the loss of the device; undefined while all is well. */
  failure(): WebLoraError | undefined;
  /** Resolves when the device is gone, with the error that requests shall see. */
  readonly lost: Promise<WebLoraError>;
}

/** Limits worth asking for where the adapter has more than WebGPU's floor: larger models, fewer planes. */
const WANTED_LIMITS = ['maxBufferSize', 'maxStorageBufferBindingSize'] as const;

/**
 * Opens a device on the provider's best adapter.
 * @throws WebLoraError `gpu_missing` where there is no adapter or it gives no device.
 */
export async function openGpu(provider: { requestAdapter(options?: object): Promise<unknown> }): Promise<Gpu> {
  const adapter = (await provider.requestAdapter({ powerPreference: 'high-performance' })) as GPUAdapter | null;
  if (!adapter) {
    throw new WebLoraError(
      'gpu_missing',
      'WebGPU gave no adapter. In a browser: check chrome://gpu or update the browser; in Node: pass gpu: await dawn() from weblora/node.',
    );
  }
  const requiredLimits: Record<string, number> = {};
  for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({ requiredLimits });
  } catch (cause) {
    throw new WebLoraError('gpu_missing', `The adapter gave no device: ${String(cause)}`, { cause });
  }
  return watch(device, adapter.info);
}

function watch(device: GPUDevice, info: GPUAdapterInfo): Gpu {
  let failure: WebLoraError | undefined;
  device.addEventListener('uncapturederror', (event) => {
    const { error } = event as GPUUncapturedErrorEvent;
    const code = error.constructor.name === 'GPUOutOfMemoryError' ? 'out_of_memory' : 'shader_invalid';
    failure ??= new WebLoraError(code, `The GPU reported: ${error.message}`, { cause: error.message });
  });
  const lost = device.lost.then((loss) => {
    failure = new WebLoraError('device_lost', `The GPU device was lost (${loss.reason ?? 'unknown'}): ${loss.message}`);
    return failure;
  });
  const description = [info.vendor, info.architecture, info.description].filter((word) => word !== '').join(' ');
  const software = info.isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe/i.test(description);
  return { device, description, software, failure: () => failure, lost };
}
