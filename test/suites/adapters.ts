import type { LlamaSizes } from '../reference/llama.ts';
import { source } from './fixtures.ts';
import type { Environment, SuiteEngine } from './suite.ts';

export const LLAMA = 'test/fixtures/arch/llama';

/** What its config says. */
export const LLAMA_SIZES: LlamaSizes = { layers: 2, heads: 4, kvHeads: 2, headDim: 16, ropeTheta: 10_000, normEps: 1e-6 };

/** The adapters of the llama fixture that are served: ranks 3 to 64, all and few modules, one layer, patterns. */
export const LLAMA_ADAPTERS = ['r8-all', 'r3-qv', 'r16-rslora', 'r64-mlp', 'layer1-only', 'rank-pattern', 'all-linear'] as const;

/** Registers and loads `count` adapters, the fixture's in turn under ids of their own; to the engine they are all different. */
export async function addAdapters(environment: Environment, engine: SuiteEngine, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, i) => `${LLAMA_ADAPTERS[i % LLAMA_ADAPTERS.length]}/${i}`);
  for (const id of ids) {
    await engine.adapters.add(id, await source(environment, `${LLAMA}/adapters/${id.split('/')[0]}`));
    await engine.adapters.load(id);
  }
  return ids;
}
