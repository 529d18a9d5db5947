import { WebLoraError } from '../errors.ts';
import type { GpuProvider } from './types.ts';

/**
 * What was given, or the runtime's own WebGPU. @throws TypeError for what is given and is none.
 * @throws WebLoraError `gpu_missing` where there is neither.
 */
export function providerOf(given: GpuProvider | undefined): GpuProvider {
  const provider = given ?? (globalThis.navigator as { gpu?: GpuProvider } | undefined)?.gpu;
  if (provider && typeof (provider as Partial<GpuProvider>).requestAdapter !== 'function') {
    throw new TypeError('gpu has no method requestAdapter; pass navigator.gpu, or await dawn() of weblora/node');
  }
  if (provider) return provider;
  throw new WebLoraError('gpu_missing', 'This runtime has no WebGPU (navigator.gpu). In Node pass gpu: await dawn() from weblora/node.');
}
