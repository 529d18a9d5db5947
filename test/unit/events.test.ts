import { expect, test } from 'vitest';
import { createEventHub } from '../../src/engine/events.ts';

test('a reader that leaves while it waits, or before it began, is let go', async () => {
  const hub = createEventHub();
  const waiting = hub.listen()[Symbol.asyncIterator]();
  const next = waiting.next();
  await new Promise((resolve) => setTimeout(resolve, 0));
  await waiting.return!();
  expect(await next).toEqual({ done: true, value: undefined });
  await hub.listen()[Symbol.asyncIterator]().return!();
  expect(hub.heard()).toBe('no');
});

test('a slow reader loses nothing, and what comes in between is one event', async () => {
  const hub = createEventHub();
  const reader = hub.listen()[Symbol.asyncIterator]();
  hub.step(1, { a: 1 });
  hub.step(2, { b: 3 });
  const first = await reader.next();
  expect(first.value?.steps).toEqual([
    { ms: 1, rows: { a: 1 } },
    { ms: 2, rows: { b: 3 } },
  ]);
  const began = performance.now();
  const load = { kind: 'load', tier: 'gpu', id: 'x', bytes: 5 } as const;
  hub.adapter(load);
  expect((await reader.next()).value?.adapters).toEqual([load]);
  expect(performance.now() - began).toBeGreaterThan(90);
  hub.close();
  expect((await reader.next()).done).toBe(true);
});
