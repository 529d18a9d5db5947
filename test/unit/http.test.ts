import { expect, test, vi } from 'vitest';
import { openFolder } from '../../src/formats/folder.ts';
import { collect } from '../../src/formats/http.ts';
import { openServer } from './local-server.ts';

/** All bytes, and then no end: what Node makes of a fetch that is aborted after its last byte. */
function endless(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> {
  let sent = 'no';
  return new ReadableStream({
    pull: (controller) => {
      if (sent === 'yes') return new Promise(() => undefined);
      sent = 'yes';
      controller.enqueue(bytes);
      return undefined;
    },
  });
}

test('a body that never ends after its last byte ends with the signal', async () => {
  const { signal, abort } = ((controller) => ({ signal: controller.signal, abort: () => controller.abort(new Error('enough')) }))(
    new AbortController(),
  );
  const reading = collect(new Response(endless(new Uint8Array(4))), 'x', 0, 4, signal);
  setTimeout(abort, 20);
  await expect(reading).rejects.toThrow('enough');
});

test('a folder on a server lets go of such an answer, to a range and to a whole file', async () => {
  const server = await openServer((request, response) => {
    const range = request.headers.range === undefined ? {} : { 'content-range': 'bytes 0-3/4' };
    response.writeHead(request.headers.range === undefined ? 200 : 206, range).write('abcd');
  });
  for (const answers of ['ranges', 'whole']) {
    const controller = new AbortController();
    if (answers === 'whole') vi.stubGlobal('fetch', async () => new Response(endless(new TextEncoder().encode('abcd'))));
    const folder = await openFolder(server.url, { signal: controller.signal });
    const reading = folder.read('a', 0, 4);
    setTimeout(() => controller.abort(new Error('enough')), 50);
    await expect(reading, answers).rejects.toThrow('enough');
  }
  vi.unstubAllGlobals();
  server.close();
});
