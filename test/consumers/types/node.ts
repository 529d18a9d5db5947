import { createEngine, diagnose } from 'weblora';
import type { Stats, Store } from 'weblora';
import { dawn, folderStore } from 'weblora/node';

const store: Store = folderStore('adapters');
const engine = await createEngine({ gpu: await dawn({ software: true }), model: 'public/models/frontdesk/base', store });
const { text, usage } = await engine.generate('Hello', { maxTokens: usageOf(await engine.stats()) }).result();
console.log(text, usage.cachedTokens, (await diagnose({ gpu: await dawn() })).runtime);
await engine.close();

function usageOf({ tiers, pages }: Stats): number {
  return tiers.gpu.loads + pages.total;
}
