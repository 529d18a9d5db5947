import { createRequire } from 'node:module';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Harness } from './harness.ts';
import { openDemo, openTab, PATIENCE, untilAnswered, type DemoTab } from './page.ts';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const views = ['everyone', 'chat', 'thousand'] as const;
const MESSAGE = 'Hi, I am still waiting for order 16024. Thanks.';

let harness: Harness;
let tab: DemoTab;

beforeAll(async () => {
  harness = await openDemo();
  // The policy lets no foreign script in, axe's neither; that policy itself is tested below, in a tab without this.
  tab = await openTab(harness, '/', { bypassCSP: true });
  await tab.page.addScriptTag({ path: AXE });
});

afterAll(async () => {
  await harness?.close();
});

/** Serious and critical findings of axe, as `rule: element`. */
async function findings(page: Page): Promise<readonly string[]> {
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: readonly { id: string; impact: string; nodes: readonly { html: string }[] }[] }> };
    };
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  });
}

async function show(page: Page, view: (typeof views)[number]): Promise<void> {
  await page.evaluate((name) => (location.hash = name), view);
  await page.locator(`#view-${view}`).waitFor();
}

describe('for everyone', () => {
  test('axe finds nothing serious in any view and scheme, answers and errors included', async () => {
    const { page } = tab;
    await page.locator('#everyone-message').fill(MESSAGE);
    await page.locator('#everyone-send').click();
    await untilAnswered(page);
    await show(page, 'chat');
    await page.locator('#chat-message').fill(MESSAGE);
    await page.locator('#chat-send').click();
    await untilAnswered(page);
    await page.locator('#chat-send').click(); // an empty message: an error is shown
    const found: string[] = [];
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const view of views) {
        await show(page, view);
        found.push(...(await findings(page)).map((finding) => `${colorScheme} ${view} ${finding}`));
      }
      await page.locator('#add-open').click();
      await page.locator('#add-send').click();
      found.push(...(await findings(page)).map((finding) => `${colorScheme} dialog ${finding}`));
      await page.locator('#add-close').click();
    }
    expect(found).toEqual([]);
  });

  test('a telephone’s width holds all views and the dialog', async () => {
    const { page } = tab;
    await page.setViewportSize({ width: 360, height: 740 });
    const overhang = (): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    for (const view of views) {
      await show(page, view);
      expect(await overhang(), view).toBeLessThanOrEqual(0);
    }
    await show(page, 'chat');
    expect(await page.locator('#chat-send').boundingBox()).toSatisfy((box: { y: number; height: number }) => box.y + box.height <= 740);
    await page.locator('#add-open').click();
    expect((await page.locator('#add').boundingBox())!.width).toBeLessThanOrEqual(360);
    await page.keyboard.press('Escape');
    await page.setViewportSize({ width: 1280, height: 860 });
  });

  test('cards keep their place and size while text streams', async () => {
    const { page } = tab;
    await show(page, 'everyone');
    const places = (): Promise<readonly string[]> =>
      page.locator('.card').evaluateAll((cards) => cards.map((card) => JSON.stringify(card.getBoundingClientRect())));
    const before = await places();
    await page.locator('#everyone-send').click();
    await expect.poll(() => page.locator('.card[data-voice="pirate"]').getAttribute('data-state'), { timeout: PATIENCE }).toBe('streaming');
    expect(await places()).toEqual(before);
    await untilAnswered(page);
    expect(await places()).toEqual(before);
  });
});

describe('the policy', () => {
  test('refuses inline scripts and hosts that are neither secure nor this computer', async () => {
    const { page, close } = await harness.open('/');
    const [ran, reached] = await page.evaluate(async () => {
      const script = document.createElement('script');
      script.textContent = 'globalThis.inline = "ran"';
      document.head.append(script);
      const answer = await fetch('http://example.invalid/').then(
        () => 'reached',
        () => 'refused',
      );
      return [(globalThis as { inline?: string }).inline, answer];
    });
    expect([ran, reached]).toEqual([undefined, 'refused']);
    const { headers } = await page.evaluate(async () => ({ headers: [...(await fetch('/worker.ts')).headers] }));
    expect(Object.fromEntries(headers)['content-security-policy']).toContain("connect-src 'self' https: http://localhost:*");
    await close();
  });
});

describe('without what it needs', () => {
  test('a browser without WebGPU is told so, and what to do', async () => {
    const context = await harness.browser.newContext();
    const page = await context.newPage();
    await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, 'gpu'));
    await page.goto(harness.origin);
    const trouble = page.locator('#trouble');
    await trouble.waitFor();
    expect(await trouble.textContent()).toMatch(/This browser has no WebGPU.*Use Chrome/s);
    expect(await page.locator('#view-everyone').isVisible()).toBe(false);
    await context.close();
  });

  test('a model that cannot be fetched is told of with its address', async () => {
    const context = await harness.browser.newContext();
    const page = await context.newPage();
    await context.route('**/models/frontdesk/base/config.json', (route) => route.fulfill({ status: 503 }));
    await page.goto(harness.origin);
    await expect
      .poll(() => page.locator('#trouble').textContent(), { timeout: 60_000 })
      .toMatch(/could not be fetched.*503.*base\/config\.json/s);
    await context.close();
  });

  test('an engine that ends is told of, and that the page has to start again', async () => {
    const { page, close } = await openTab(harness);
    const [worker] = page.workers();
    await worker!.evaluate(() => globalThis.close()).catch(() => undefined);
    await expect.poll(() => page.locator('#trouble').textContent(), { timeout: 10_000 }).toContain('The engine has stopped');
    await close();
  });
});
