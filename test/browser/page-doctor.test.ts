import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DoctorReport } from '../../src/engine/doctor-report.ts';
import type { Harness } from './harness.ts';
import { openDemo } from './page.ts';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** Software devices compile and wait for barriers slowly, and other tests may be running beside this one. */
const PATIENCE = 600_000;

let harness: Harness;

beforeAll(async () => {
  harness = await openDemo();
});

afterAll(async () => {
  await harness?.close();
});

test('the doctor examines the device to its end, offers the report, and axe finds nothing serious', async () => {
  const { page, errors, close } = await harness.open('/doctor.html', { bypassCSP: true });
  await page.addScriptTag({ path: AXE });
  await page.locator('#examine').click();
  await page.locator('#save').waitFor({ timeout: PATIENCE });
  expect(await page.locator('#now').textContent()).toMatch(/^Done in .* variants checked, all of them sound\.$/);
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#save').click()]);
  expect(download.suggestedFilename()).toBe('weblora-doctor.json');
  const report = JSON.parse(await readFile(await download.path(), 'utf8')) as DoctorReport;
  expect([report.version, report.device.software, report.checks.filter(({ wrong }) => wrong !== undefined)]).toEqual([1, true, []]);
  expect(new Set(report.checks.map(({ family }) => family))).toEqual(new Set(['wide', 'narrow', 'plain']));
  expect(report.timings.every(({ ms, least, most }) => least <= ms && ms <= most)).toBe(true);
  expect(report.pipelines.length).toBeGreaterThan(10);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    const found = await page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: readonly { id: string; impact: string }[] }> } };
      return (await axe.run()).violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id }) => id);
    });
    expect(found, colorScheme).toEqual([]);
  }
  await page.setViewportSize({ width: 360, height: 740 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  expect(errors).toEqual([]);
  await close();
});

test('a browser without WebGPU is told so there, too', async () => {
  const context = await harness.browser.newContext();
  const page = await context.newPage();
  await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, 'gpu'));
  await page.goto(`${harness.origin}/doctor.html`);
  await expect.poll(() => page.locator('#trouble').textContent()).toMatch(/This browser has no WebGPU/);
  await context.close();
});
