import { openGpu } from '../../src/gpu/device.ts';
import type { GpuProvider } from '../../src/engine/types.ts';
import type { WideFeatures } from '../../src/kernels/wide.ts';
import type { Case } from './suite.ts';

/** Cases that pass where the device does not have the feature. */
export function needs(provider: GpuProvider): (feature: keyof WideFeatures, cases: readonly Case[]) => Case[] {
  let opened: Promise<WideFeatures> | undefined;
  const told = new Set<string>();
  return (feature, cases) =>
    cases.map(({ name, run }) => ({
      name,
      run: async () => {
        opened ??= featuresOf(provider);
        if ((await opened)[feature] === 'yes') return run();
        if (!told.has(feature)) console.warn(`SKIPPED ${name} and others: this device has no ${feature}`);
        told.add(feature);
      },
    }));
}

/** What the provider's device has for wide kernels. */
export async function featuresOf(provider: GpuProvider): Promise<WideFeatures> {
  const { device, features } = await openGpu(provider);
  device.destroy();
  return features;
}
