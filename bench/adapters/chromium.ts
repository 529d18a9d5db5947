import { openHarness } from '../../test/browser/harness.ts';
import type { Row } from '../report.ts';
import type { FirstUse } from './first-use.ts';
import { firstUseRows } from './first-use-rows.ts';
import { ownAdapter, serveAdapters, subjects } from './origin.ts';
import type { firstUseHere } from './page.ts';

/** First uses in a page of Chromium on SwiftShader. Throws `Error` with what the page complained about. */
export async function firstUseInChromium(pairs: number): Promise<Row[]> {
  const adapters = subjects();
  const serve = serveAdapters({ ...adapters, other: ownAdapter('sentiment') });
  const origin = { name: 'bench-adapters', configureServer: ({ middlewares }: Server) => void middlewares.use(serve) };
  const harness = await openHarness({ vite: { plugins: [origin] } });
  try {
    const found: FirstUse[] = [];
    for (const id of Object.keys(adapters)) {
      const { page, errors, close } = await harness.open('/bench/adapters/page.html');
      await page.waitForFunction(() => 'firstUseHere' in globalThis);
      const run = (setting: { readonly id: string; readonly pairs: number }): Promise<FirstUse> =>
        (globalThis as unknown as { firstUseHere: typeof firstUseHere }).firstUseHere(setting.id, setting.pairs);
      found.push(await page.evaluate(run, { id, pairs }));
      await close();
      if (errors.length > 0) throw new Error(errors.join('\n'));
    }
    return firstUseRows(`Chromium ${harness.browser.version()}`, found);
  } finally {
    await harness.close();
  }
}

/** Of Vite's server, what is used here. */
interface Server {
  readonly middlewares: { use(handler: ReturnType<typeof serveAdapters>): unknown };
}
