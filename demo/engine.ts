import { connectEngine, type Engine, type Progress } from 'weblora';
import { baseModel } from './frontdesk.ts';

/** What the page uses of an engine. */
export type PageEngine = Pick<Engine, 'adapters' | 'generate' | 'model' | 'stats' | 'events'>;

/** Starts the engine behind a worker of its own. Throws what `connectEngine` throws. */
export async function startEngine(onProgress: (progress: Progress) => void): Promise<PageEngine> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  return connectEngine(worker, { model: baseModel.source, onProgress });
}
