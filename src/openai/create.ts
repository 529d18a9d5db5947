import { createEngine as createCoreEngine } from '../engine/engine.ts';
import type { EngineOptions } from '../engine/types.ts';
import { withOpenAI } from './face.ts';
import type { Engine } from './types.ts';

/**
 * Loads a model and runs it in this thread.
 * @throws TypeError for unknown options. @throws WebLoraError `gpu_missing`, `out_of_memory`, `not_deterministic`, `request_invalid`,
 * and what reading the model's files throws; nothing stays on the GPU then.
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const core = await createCoreEngine(options); // says what is wrong with them
  const { model } = options;
  return withOpenAI(core, typeof model === 'string' || model instanceof URL ? { source: String(model) } : {});
}
