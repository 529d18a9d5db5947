import { describe, expect, test } from 'vitest';
import { firstPage, GONE, keysOf, spanPages } from '../../src/engine/window.ts';
import { PAGE_TOKENS } from '../../src/kernels/step-layout.ts';
import { createSmall, type Small } from './core-small.ts';

const COMMON = Array.from({ length: 200 }, (_, i) => i);

/** Runs until nobody is left; returns the prefill rows, and the most pages that anybody held. */
function runAll(small: Small, depth = 1): { rows: number; most: number } {
  let [rows, most] = [0, 0];
  for (let step = 0; small.core.scheduler.counts().waiting + small.core.scheduler.counts().running > 0; step++) {
    if (step > 2000) throw new Error('It never ends');
    const { work } = small.step(depth);
    for (const { kind, count, sequence } of work) {
      if (kind === 'prefill') rows += count;
      most = Math.max(most, sequence.pages.length - sequence.gone);
    }
    if (small.flights.length >= depth || work.length === 0) small.commit();
  }
  while (small.flights.length > 0) small.commit();
  return { rows, most };
}

describe('arithmetic', () => {
  test('pages and keys of rows, counted one by one', () => {
    for (const window of [1, 2, 16, 17, 33, Infinity]) {
      for (let start = 0; start < 50; start++) {
        for (const count of [1, 2, 15, 16, 17, 33]) {
          let keys = 0;
          const pages = new Set<number>();
          for (let row = start; row < start + count; row++) {
            for (let key = Math.max(0, row - window + 1); key <= row; key++) {
              keys += 1;
              pages.add(Math.floor(key / PAGE_TOKENS));
            }
          }
          expect(keysOf(start, count, window)).toBe(keys);
          expect(pages.size).toBeLessThanOrEqual(spanPages(count, window));
          if (window > 1) expect(firstPage(start, window)).toBe(Math.min(...pages));
          else expect(firstPage(start, window)).toBeLessThanOrEqual(Math.min(...pages));
        }
      }
    }
  });
});

describe('a model whose layers all have windows', () => {
  test('a text longer than the pool is served, from no more pages than a window and a chunk', () => {
    const small = createSmall({ window: 40, pages: 8 });
    const long = small.add(COMMON, 250);
    const { most } = runAll(small);
    expect(long).toMatchObject({ phase: 'finished', generated: { length: 250 } });
    expect(most).toBeLessThanOrEqual(spanPages(16, 40));
    expect(small.core.scheduler.counts().preemptions).toBe(0);
  });

  test('pages are given back as rows leave them behind, once their step came back', () => {
    const small = createSmall({ window: 20, prefillChunk: 32 });
    const sequence = small.add(COMMON, 9);
    small.step();
    small.step();
    expect(sequence).toMatchObject({ computed: 64, settled: 0, gone: 0 });
    small.commit();
    small.step();
    // the next row is 64: it reads from 45 on, but 32 are all that came back
    expect(sequence).toMatchObject({ settled: 32, gone: 2 });
    expect(sequence.pages.slice(0, 3)).toEqual([GONE, GONE, expect.any(Number)]);
    small.core.scheduler.finish(sequence);
    expect(small.core.pages.counts()).toMatchObject({ kv: 2, idle: 2 });
  });

  test('one layer that sees all keeps every page', () => {
    const small = createSmall({ window: Infinity });
    const sequence = small.add(COMMON, 4);
    small.run();
    expect(sequence).toMatchObject({ gone: 0, pages: { length: 13 } });
    expect(createSmall({ window: Infinity, pages: 12 }).add(COMMON, 4)).toMatchObject({ phase: 'waiting' });
  });

  test('whoever needs a page in the smallest pool waits for its own to come back, and is not called unfit', () => {
    const window = 33;
    const pages = spanPages(1, window);
    for (const beginnings of ['shared', 'own'] as const) {
      for (const depth of [1, 2, 5]) {
        const small = createSmall({ window, pages, beginnings });
        const sequence = small.add(COMMON, 120);
        runAll(small, depth);
        expect(sequence.generated).toHaveLength(120);
      }
    }
    const less = createSmall({ window, pages: pages - 1 });
    const asked = less.add(COMMON, 120);
    const open = less.add(10, 120, { length: 'room' });
    expect(less.step().unfit).toEqual([asked]);
    expect(open.maxTokens).toBe((pages - 1) * PAGE_TOKENS - 9);
  });

  test('who is preempted goes on from its own tokens', () => {
    const small = createSmall({ window: 60, pages: 8, prefillChunk: 4 });
    const sequences = [small.add(30, 80), small.add(30, 80, { priority: -1 }), small.add(30, 80)];
    runAll(small);
    expect(small.core.scheduler.counts().preemptions).toBeGreaterThan(0);
    const answer = Array.from({ length: 80 }, (_, i) => 1000 + i);
    for (const sequence of sequences) expect(sequence.generated).toEqual(answer);
  });

  test('a beginning hits without the pages that no row reads any more', () => {
    const window = 40;
    const small = createSmall({ window, pages: 16, contextLength: 1024 });
    const first = small.add(COMMON, 4);
    runAll(small);
    const { pages } = small.core;
    expect(pages.counts()).toMatchObject({ kv: 12, idle: 12 });
    // another text takes the pages that were used longest ago
    small.add(110, 1, { logits: 'prompt' });
    runAll(small);
    const next = small.add([...first.prompt, 7, 7], 1);
    small.step();
    expect(next).toMatchObject({ shared: 12, gone: firstPage(192, window) });
    expect(next.pages.slice(0, next.gone)).toEqual(Array.from({ length: next.gone }, () => GONE));
    expect(runAll(small).rows).toBe(0);
    expect(next.cached).toBe(192);
  });

  test('numbers that were wrong are shared with nobody, gone pages or not', () => {
    const small = createSmall({ window: 20 });
    const wrong = small.add(COMMON, 40);
    for (let i = 0; i < 16; i++) small.run();
    expect(wrong.gone).toBeGreaterThan(8);
    small.core.scheduler.discard(wrong);
    expect(small.core.pages.counts().kv).toBe(0);
    const next = small.add(COMMON, 1);
    runAll(small);
    expect(next.cached).toBe(0);
  });
});
