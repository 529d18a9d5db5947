// A worker whose engine answers slowly, and that ends in the way it is told to.
import { withOpenAI } from '../../src/openai/face.ts';
import { serveWith } from '../../src/rpc/serve.ts';
import { player } from '../unit/rpc-harness.ts';

serveWith(globalThis, {}, async ({ model }) => {
  if (model === 'never') await new Promise(() => undefined);
  return withOpenAI(player());
});

globalThis.addEventListener('message', ({ data }: MessageEvent<{ readonly end?: 'throw' | 'close' } | undefined>) => {
  if (data?.end === 'throw') throw new Error('on purpose');
  if (data?.end === 'close') globalThis.close();
});
