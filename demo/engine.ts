import { connectEngine, type Engine, type EngineOptions, type Progress } from 'weblora';
import { baseModel } from './frontdesk.ts';

/** What the page uses of an engine. */
export type PageEngine = Pick<Engine, 'adapters' | 'generate' | 'model' | 'stats' | 'events'>;

/** MiB. Small enough that the Thousand view's adapters do not all fit anywhere, and enough for everyone to answer a long message. */
const MEMORY = { pool: 64, heap: 48, disk: 256 } as const;

/** Starts the engine behind a worker of its own. Throws what `connectEngine` throws. */
export async function startEngine(onProgress: (progress: Progress) => void): Promise<PageEngine> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  return connectEngine(worker, { model: baseModel.source, memory: memoryAsked(), kernels: kernelsAsked(), onProgress });
}

/** The address may pin a family of kernels: `?kernels=plain`. A name that is none is refused by the engine, which says so. */
function kernelsAsked(): NonNullable<EngineOptions['kernels']> {
  return (new URLSearchParams(location.search).get('kernels') ?? 'auto') as NonNullable<EngineOptions['kernels']>;
}

/** The address may ask for other sizes, to see what they do: `?pool=24&heap=8`, in MiB. */
function memoryAsked(): NonNullable<EngineOptions['memory']> {
  const asked = new URLSearchParams(location.search);
  const bytes = (tier: keyof typeof MEMORY): number => {
    const mebibytes = Number(asked.get(tier) ?? MEMORY[tier]);
    return (Number.isInteger(mebibytes) && mebibytes > 0 ? mebibytes : MEMORY[tier]) * 2 ** 20;
  };
  return { pool: bytes('pool'), heap: bytes('heap'), disk: bytes('disk') };
}
