import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openHarness, type Harness, type OpenPage } from './harness.ts';

/** Name of the adapter's vendor, in a page and in a worker. */
const PROBE = `(async () => (await navigator.gpu?.requestAdapter())?.info.architecture)()`;

let harness: Harness;
let open: OpenPage;

beforeAll(async () => {
  harness = await openHarness();
  open = await harness.open('/test/browser/empty.html');
});

afterAll(async () => {
  await harness?.close();
});

describe('the browser of the tests', () => {
  test('has WebGPU in software, in a page and in a worker', async () => {
    const inWorker = await open.page.evaluate(
      (probe) =>
        new Promise((resolve) => {
          const url = URL.createObjectURL(new Blob([`${probe}.then(postMessage)`]));
          new Worker(url).addEventListener('message', ({ data }) => resolve(data));
        }),
      PROBE,
    );
    expect([await open.page.evaluate(PROBE), inWorker]).toEqual(['swiftshader', 'swiftshader']);
  });

  test('gets files of the project, parts of them, and 404 for others', async () => {
    const found = await open.page.evaluate(async () => {
      const model = '/models/frontdesk/base/model.safetensors';
      const [whole, part, missing] = await Promise.all([
        fetch(model, { method: 'HEAD' }),
        fetch('/test/fixtures/arch/llama/base/config.json', { headers: { range: 'bytes=0-9' } }),
        fetch('/test/fixtures/arch/llama/base/nothing.json'),
      ]);
      return [whole.status, part.status, (await part.arrayBuffer()).byteLength, missing.status];
    });
    expect(found).toEqual([200, 206, 10, 404]);
  });

  test('tells what goes wrong in a page', async () => {
    const { page, errors, close } = await harness.open('/test/browser/empty.html');
    await page.evaluate(() => void Promise.reject(new Error('on purpose')));
    await expect.poll(() => errors.join('\n')).toContain('on purpose');
    await close();
  });
});
