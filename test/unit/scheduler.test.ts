import { describe, expect, test } from 'vitest';
import { createPages } from '../../src/engine/pages.ts';
import { createScheduler } from '../../src/engine/scheduler.ts';
import type { AdapterView, SchedulerLimits, Work } from '../../src/engine/scheduler.ts';
import { createSequence } from '../../src/engine/sequence.ts';
import type { Sequence, SequenceRequest } from '../../src/engine/sequence.ts';

const everything: AdapterView = { isResident: () => true };
const nothing: AdapterView = { isResident: () => false };
const roomy: SchedulerLimits = { sequences: 8, batchRows: 64, prefillChunk: 16, logitRows: 64, contextLength: 256 };

let nextId = 0;
function sequenceOf(prompt: number, maxTokens: number, more: Partial<SequenceRequest> = {}): Sequence {
  const tokens = Array.from({ length: prompt }, (_, index) => index);
  return createSequence({ id: nextId++, prompt: tokens, maxTokens, adapter: undefined, logits: 'sampled', ...more });
}

const brief = (work: readonly Work[]): unknown[] => work.map((w) => [w.kind, w.start, w.count, w.samples, w.logitRows]);

describe('scheduler', () => {
  test('prefills in chunks, then decodes as deep as asked, and stops at maxTokens', () => {
    const scheduler = createScheduler(roomy, createPages(8));
    const sequence = sequenceOf(20, 3);
    scheduler.add(sequence);
    expect(brief(scheduler.schedule(everything, 2))).toEqual([['prefill', 0, 16, false, 0]]);
    expect(brief(scheduler.schedule(everything, 2))).toEqual([['prefill', 16, 4, true, 1]]);
    expect(brief(scheduler.schedule(everything, 2))).toEqual([['decode', 20, 1, true, 1]]);
    expect(scheduler.schedule(everything, 2)).toEqual([]);
    scheduler.commit(sequence, 5);
    expect(brief(scheduler.schedule(everything, 2))).toEqual([['decode', 21, 1, true, 1]]);
    scheduler.commit(sequence, 6);
    scheduler.commit(sequence, 7);
    expect(scheduler.schedule(everything, 2)).toEqual([]);
    expect(sequence).toMatchObject({ generated: [5, 6, 7], pending: 0, computed: 22, pages: [0, 1], row: 0 });
  });

  test('a prompt whose logits are wanted is cut to the logit rows and goes on', () => {
    const scheduler = createScheduler({ ...roomy, logitRows: 3 }, createPages(8));
    scheduler.add(sequenceOf(7, 1, { logits: 'prompt' }));
    const rows = [1, 2, 3].flatMap(() => brief(scheduler.schedule(everything, 1)));
    expect(rows).toEqual([
      ['prefill', 0, 3, false, 3],
      ['prefill', 3, 3, false, 3],
      ['prefill', 6, 1, true, 1],
    ]);
  });

  test('decode rows do not wait for prefill', () => {
    const scheduler = createScheduler({ ...roomy, batchRows: 2 }, createPages(8));
    const first = sequenceOf(2, 9);
    scheduler.add(first);
    scheduler.schedule(everything, 8);
    scheduler.add(sequenceOf(5, 1));
    expect(brief(scheduler.schedule(everything, 8))).toEqual([
      ['decode', 2, 1, true, 1],
      ['prefill', 0, 1, false, 0],
    ]);
  });

  test('who waits for an adapter is passed, who waits for pages is not', () => {
    const scheduler = createScheduler(roomy, createPages(4));
    const [absent, large, small] = [sequenceOf(16, 17, { adapter: 'a' }), sequenceOf(32, 1), sequenceOf(1, 1)] as const;
    const first = sequenceOf(32, 17);
    for (const sequence of [first, absent, large, small]) scheduler.add(sequence);
    scheduler.schedule(nothing, 1);
    expect([first, absent, large, small].map((sequence) => sequence.phase)).toEqual(['running', 'waiting', 'waiting', 'waiting']);
    expect(scheduler.blocked()).toEqual({ sequence: large, missing: 1 });
    scheduler.finish(large);
    expect(scheduler.blocked()).toBeUndefined();
    scheduler.schedule(nothing, 1);
    expect([absent.phase, small.phase]).toEqual(['waiting', 'running']);
    scheduler.schedule(everything, 1);
    expect(scheduler.blocked()).toEqual({ sequence: absent, missing: 2 });
    scheduler.finish(first);
    scheduler.schedule(everything, 1);
    expect(absent).toMatchObject({ phase: 'running', row: 0 });
  });

  test('nobody passes who waits for room for its adapter', () => {
    const scheduler = createScheduler(roomy, createPages(8));
    const [ahead, absent, behind] = [sequenceOf(1, 1), sequenceOf(1, 1, { adapter: 'a' }), sequenceOf(1, 1)] as const;
    for (const sequence of [ahead, absent, behind]) scheduler.add(sequence);
    scheduler.schedule({ ...nothing, waitsForRoom: (adapter) => adapter === 'a' }, 1);
    expect([ahead.phase, absent.phase, behind.phase]).toEqual(['running', 'waiting', 'waiting']);
  });

  test('tells which adapters are wanted and which are in use', () => {
    const scheduler = createScheduler({ ...roomy, sequences: 2 }, createPages(8));
    for (const adapter of ['b', undefined, 'c', 'a', 'c', 'b']) scheduler.add(sequenceOf(1, 1, { adapter }));
    expect(scheduler.waitingAdapters()).toEqual(['b', 'c', 'a']);
    scheduler.schedule({ isResident: (adapter) => adapter !== 'c' }, 1);
    expect(scheduler.neededAdapters()).toEqual(new Set(['b']));
    expect(scheduler.waitingAdapters()).toEqual(['c', 'a', 'b']);
    expect(scheduler.counts()).toEqual({ waiting: 4, running: 2 });
  });

  test('refuses what could never run', () => {
    expect(() => createScheduler({ ...roomy, logitRows: 0 }, createPages(4))).toThrow(RangeError);
    const scheduler = createScheduler(roomy, createPages(4));
    expect(() => scheduler.add(sequenceOf(250, 7))).toThrow(/250 prompt tokens and 7 to generate; the context has 256/);
    expect(() => scheduler.add(sequenceOf(60, 6))).toThrow(/needs 5 pages; the pool has 4/);
    const sequence = sequenceOf(1, 1);
    scheduler.add(sequence);
    expect(() => scheduler.add(sequence)).toThrow(RangeError);
    expect(() => scheduler.commit(sequence, 1)).toThrow(RangeError);
    expect(() => scheduler.schedule(everything, 0)).toThrow(RangeError);
    expect(() => sequenceOf(0, 1)).toThrow(RangeError);
    expect(() => sequenceOf(1, 0)).toThrow(RangeError);
  });
});
