import { connectEngine, type Engine, type EngineOptions, type Progress, type Prompt } from 'weblora';
import { base, baseSource, hubAsked } from './base.ts';

/** What the page uses of an engine. */
export type PageEngine = Pick<Engine, 'adapters' | 'generate' | 'model' | 'stats' | 'events'>;

/** MiB. Small enough that the Thousand view's adapters do not all fit anywhere, and enough for everyone to answer a long message. */
const MEMORY = { pool: 64, heap: 48, disk: 256 } as const;

/** Starts the engine behind a worker of its own. Throws what `connectEngine` throws. */
export async function startEngine(onProgress: (progress: Progress) => void): Promise<PageEngine> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  const model = await baseSource();
  const hubEndpoint = hubAsked();
  const hub = hubEndpoint === undefined ? {} : { hubEndpoint };
  const engine = await connectEngine(worker, { model, memory: memoryAsked(), kernels: kernelsAsked(), onProgress, ...hub });
  const { serves, name } = await engine.model();
  if (!serves.text) throw new Error(`${name} came without a tokenizer: it takes numbers, not words.`);
  return serves.chat ? engine : { ...engine, generate: (prompt, options) => engine.generate(asText(prompt), options) };
}

/** A model without a chat template goes on from the messages as they are. */
function asText(prompt: Prompt): Prompt {
  if (typeof prompt === 'string') return prompt;
  return prompt.map((part) => (typeof part === 'number' ? '' : part.content)).join('\n');
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
  // Other models need other sizes, which the engine knows best.
  if (base.kind !== 'frontdesk' && !asked.has('pool')) return { disk: bytes('disk') };
  return { pool: bytes('pool'), heap: bytes('heap'), disk: bytes('disk') };
}
