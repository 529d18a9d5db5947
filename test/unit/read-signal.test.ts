import { afterEach, expect, test, vi } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import { openFolder } from '../../src/formats/folder.ts';
import { TABLE, memoryFolder, pair, safetensors } from './files.ts';

afterEach(() => void vi.unstubAllGlobals());

/** `fetch` that answers by its call's number; every call and every body ends with the signal. */
function stubFetch(answer: (call: number, ended: Promise<never>) => Response | Promise<Response>): void {
  let call = 0;
  vi.stubGlobal('fetch', (_: string, { signal }: RequestInit) => {
    const ended = new Promise<never>((_resolve, reject) => {
      signal!.addEventListener('abort', () => reject(new DOMException('The operation was aborted.', 'AbortError')));
    });
    ended.catch(() => undefined);
    return answer(call++, ended);
  });
}

/** A body that sends one byte and then nothing. */
const stalled = (ended: Promise<never>): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (controller) => {
      controller.enqueue(new Uint8Array(1));
      ended.catch((error: unknown) => controller.error(error));
    },
  });

test.each<[string, (call: number, ended: Promise<never>) => Response | Promise<Response>]>([
  ['before the answer', (_, ended) => ended],
  ['inside a part', (_, ended) => new Response(stalled(ended), { status: 206, headers: { 'content-range': 'bytes 0-9/10' } })],
  ['inside a whole file', (_, ended) => new Response(stalled(ended), { status: 200, headers: { 'content-length': '10' } })],
])('a web folder whose signal comes %s throws its reason', async (_, answer) => {
  stubFetch(answer);
  const controller = new AbortController();
  const folder = await openFolder('https://example.org/a/', { signal: controller.signal });
  const reading = folder.read('data.bin', 0, 10).catch((error: unknown) => error);
  await new Promise((resolve) => setTimeout(resolve, 10));
  controller.abort(new Error('nobody waits'));
  expect(await reading).toMatchObject({ message: 'nobody waits' });
});

test('an adapter from any folder is left between two layers', async () => {
  const tensors = [0, 1].flatMap((layer) => pair(layer, 'self_attn.q_proj', 4));
  const config = { peft_type: 'LORA', r: 4, lora_alpha: 4, target_modules: ['q_proj'] };
  const folder = memoryFolder({ 'adapter_config.json': config, 'adapter_model.safetensors': safetensors(tensors) });
  const controller = new AbortController();
  let reads = 0;
  const counting = {
    ...folder,
    read: (...range: Parameters<typeof folder.read>) => {
      if (++reads === 4) controller.abort(new Error('enough')); // config, length, header, the first layer
      return folder.read(...range);
    },
  };
  await expect(readAdapter(counting, TABLE, 'exact', { signal: controller.signal })).rejects.toThrow('enough');
  expect(reads).toBe(4);
});
