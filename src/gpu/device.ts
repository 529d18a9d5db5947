import { WebLoraError } from '../errors.ts';

/** A WebGPU device with what the rest of the code asks of it. */
export interface Gpu {
  readonly device: GPUDevice;
  /** `vendor architecture description` as the driver gives it, for people and reports. */
  readonly description: string;
  /** True for SwiftShader, llvmpipe and other adapters that run on the CPU. */
  readonly software: boolean;
  /** What the driver says of itself, word by word. */
  readonly info: AdapterWords;
  /** What shaders may use here beyond WGSL's core. */
  readonly features: ShaderFeatures;
  /** The first error nobody caught, or the loss of the device; undefined while all is well. */
  failure(): WebLoraError | undefined;
  /** Resolves when the device is gone, with the error that requests shall see. */
  readonly lost: Promise<WebLoraError>;
}

/** The fields of `GPUAdapterInfo` that name a device. */
export interface AdapterWords {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
}

export interface ShaderFeatures {
  readonly subgroups: 'yes' | 'no';
  /** Arithmetic in f16, which is not needed to store it. */
  readonly f16: 'yes' | 'no';
}

/** Features that some kernels, and whoever times them, can use where they are there. */
const WANTED_FEATURES: readonly GPUFeatureName[] = ['subgroups', 'shader-f16', 'timestamp-query'];

/** Limits worth asking for where the adapter has more than WebGPU's floor: larger models, fewer planes. */
const WANTED_LIMITS = ['maxBufferSize', 'maxStorageBufferBindingSize'] as const;

interface Provider {
  requestAdapter(options?: object): Promise<unknown>;
}

/** The provider's best adapter. @throws WebLoraError `gpu_missing` where there is none. */
export async function findAdapter(provider: Provider): Promise<GPUAdapter> {
  const adapter = (await provider.requestAdapter({ powerPreference: 'high-performance' })) as GPUAdapter | null;
  if (adapter) return adapter;
  throw new WebLoraError(
    'gpu_missing',
    'WebGPU gave no adapter. In a browser: check chrome://gpu or update the browser; in Node: pass gpu: await dawn() from weblora/node.',
  );
}

/**
 * Opens a device on the provider's best adapter.
 * @throws WebLoraError `gpu_missing` where there is no adapter or it gives no device.
 */
export async function openGpu(provider: Provider): Promise<Gpu> {
  const adapter = await findAdapter(provider);
  const requiredLimits: Record<string, number> = {};
  for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
  const requiredFeatures = WANTED_FEATURES.filter((name) => adapter.features.has(name));
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
  } catch (cause) {
    throw new WebLoraError('gpu_missing', `The adapter gave no device: ${String(cause)}`, { cause });
  }
  return watch(device, adapter.info);
}

/** Whether an adapter runs on the CPU: it says so, or by name where a runtime does not know. */
export function isSoftware({ isFallbackAdapter, vendor, architecture, description }: GPUAdapterInfo): boolean {
  const words = [vendor, architecture, description].join(' ');
  return isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe|basic render|\bwarp\b/i.test(words);
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
  const { vendor, architecture, device: chip, description: words } = info;
  const description = [vendor, architecture, words].filter((word) => word !== '').join(' ');
  const software = isSoftware(info);
  const has = (name: GPUFeatureName): 'yes' | 'no' => (device.features.has(name) ? 'yes' : 'no');
  return {
    device,
    description,
    software,
    info: { vendor, architecture, device: chip, description: words },
    features: { subgroups: has('subgroups'), f16: has('shader-f16') },
    failure: () => failure,
    lost,
  };
}
