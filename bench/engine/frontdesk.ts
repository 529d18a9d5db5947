import { fileURLToPath } from 'node:url';
import { createEngine } from 'weblora';
import type { Engine, EngineOptions, GpuProvider } from 'weblora';
import { dawn } from 'weblora/node';
import { ADAPTERS } from '../adapter-names.ts';

export { ADAPTERS } from '../adapter-names.ts';
export { follow, gaps, randomTokens } from '../timeline.ts';
export type { Timeline } from '../timeline.ts';

/** The small model: `base`, and `adapters` by their names. */
export const FOLDER = fileURLToPath(new URL('../../public/models/frontdesk', import.meta.url));

/** SwiftShader (or what the machine has in its place), on which the gates are written, or the machine's own GPU. */
export const openGpu = (device: 'software' | 'hardware'): Promise<GpuProvider> => dawn({ software: device === 'software' });

/** An engine on the small model with all its adapters on the GPU. */
export async function openEngine(gpu: GpuProvider, options: Partial<EngineOptions> = {}): Promise<Engine> {
  const engine = await createEngine({ gpu, model: `${FOLDER}/base`, memory: { pool: 64 << 20 }, ...options });
  for (const id of ADAPTERS) {
    await engine.adapters.add(id, `${FOLDER}/adapters/${id}`);
    await engine.adapters.load(id);
  }
  return engine;
}
