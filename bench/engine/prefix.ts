import type { Engine, GenerateOptions, GpuProvider, Result } from 'weblora';
import { gate, type Row } from '../report.ts';
import { openEngine, randomTokens } from './frontdesk.ts';

const REQUESTS = 8;
const PREFIX_TOKENS = 200;
const OWN_TOKENS = 8;
const PAGE_TOKENS = 16;
const TOKENS = 4;
/** Tokens of the prefix that fill pages, and the others of a prompt. */
const PAGED = Math.floor(PREFIX_TOKENS / PAGE_TOKENS) * PAGE_TOKENS;
const REST = PREFIX_TOKENS + OWN_TOKENS - PAGED;

interface Asked {
  readonly rows: number;
  readonly results: readonly Result[];
}

/** How many rows of prompts eight requests with a common beginning take, one after another and at once, for the base and for an adapter. */
export async function prefix(gpu: GpuProvider): Promise<Row[]> {
  const engine = await openEngine(gpu, { deterministic: true });
  try {
    const rows: Row[] = [];
    for (const adapter of [undefined, 'pirate']) rows.push(...(await measure(engine, adapter)));
    return rows;
  } finally {
    await engine.close();
  }
}

async function measure(engine: Engine, adapter: string | undefined): Promise<Row[]> {
  const common = { ...(adapter !== undefined && { adapter }) };
  // a salt of its own: nothing to share
  const alone = await ask(engine, 'one after another', (i) => ({ ...common, cacheSalt: `alone ${i}` }));
  const rows: Row[] = [];
  for (const how of ['one after another', 'at once'] as const) {
    const shared = await ask(engine, how, () => ({ ...common, cacheSalt: how }));
    const name = `prefix/${adapter === undefined ? 'base' : 'adapter'}, ${how}`;
    const cached = shared.results.reduce((sum, { usage }) => sum + usage.cachedTokens, 0);
    const differ = shared.results.filter(({ tokens }, i) => tokens.join() !== alone.results[i]!.tokens.join()).length;
    rows.push(
      gate(
        {
          name: `${name}: rows of the common pages`,
          value: shared.rows - REQUESTS * REST,
          unit: 'rows',
          without: alone.rows - REQUESTS * REST,
        },
        `= ${PAGED}`,
      ),
      gate({ name: `${name}: cached tokens`, value: cached, unit: 'tokens' }, `= ${(REQUESTS - 1) * PAGED}`),
      gate({ name: `${name}: answers that differ`, value: differ, unit: 'answers' }, '= 0'),
    );
  }
  return rows;
}

/** Eight prompts that begin with the same 200 tokens, and the rows of prompts that were computed for them. */
async function ask(engine: Engine, how: 'one after another' | 'at once', options: (i: number) => GenerateOptions): Promise<Asked> {
  const before = (await engine.stats()).promptRows;
  const beginning = randomTokens(PREFIX_TOKENS, 7);
  const one = (i: number): Promise<Result> =>
    engine.generate([...beginning, ...randomTokens(OWN_TOKENS, 100 + i)], { ...options(i), ignoreEos: true, maxTokens: TOKENS }).result();
  const results: Result[] = [];
  if (how === 'at once') results.push(...(await Promise.all(Array.from({ length: REQUESTS }, (_, i) => one(i)))));
  else for (let i = 0; i < REQUESTS; i++) results.push(await one(i));
  return { rows: (await engine.stats()).promptRows - before, results };
}
