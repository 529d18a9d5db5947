import { describe, expect, test } from 'vitest';
import { createContents } from '../../src/engine/contents.ts';
import { createDemand } from '../../src/engine/demand.ts';
import { createPages } from '../../src/engine/pages.ts';
import { createSeats } from '../../src/engine/seats.ts';
import { createSequence, type Sequence } from '../../src/engine/sequence.ts';
import { brief, createSmall, one, priceList } from './core-small.ts';

const phases = (...sequences: readonly { readonly phase: string }[]): string[] => sequences.map(({ phase }) => phase);

describe('rows of a step', () => {
  test('prefills in chunks, then decodes as deep as asked, and stops at maxTokens', () => {
    const { core, add, step, flights, commit } = createSmall();
    const sequence = add(20, 3);
    expect(brief(step(2))).toEqual([['prefill', 0, 16, false, 0]]);
    expect(brief(step(2))).toEqual([['prefill', 16, 4, true, 1]]);
    expect(brief(step(2))).toEqual([['decode', 20, 1, true, 1]]);
    expect(brief(step(2))).toEqual([]);
    commit();
    commit();
    expect(brief(step(2))).toEqual([['decode', 21, 1, true, 1]]);
    for (const [work] of [...flights]) core.scheduler.commit(work!, 5);
    expect(brief(step(2))).toEqual([]);
    expect(sequence).toMatchObject({ generated: [1000, 5, 5], pending: 0, computed: 22, settled: 22, pages: [0, 1], row: 0 });
  });

  test('a prompt whose logits are wanted is cut to the logit rows and goes on', () => {
    const { add, step } = createSmall({ logitRows: 3 });
    add(7, 1, { logits: 'prompt' });
    expect([1, 2, 3].flatMap(() => brief(step()))).toEqual([
      ['prefill', 0, 3, false, 3],
      ['prefill', 3, 3, false, 3],
      ['prefill', 6, 1, true, 1],
    ]);
  });

  test('a prompt ends in a step that has room for its logits', () => {
    const { add, step, run } = createSmall({ logitRows: 1 });
    add(1, 9);
    run();
    add(5, 1);
    expect(brief(step(8))).toEqual([
      ['decode', 1, 1, true, 1],
      ['prefill', 0, 4, false, 0],
    ]);
    expect(brief(step(8))).toEqual([['decode', 2, 1, true, 1]]);
  });

  test('decode rows do not wait for prefill', () => {
    const { add, step } = createSmall({ batchRows: 2 });
    add(2, 9);
    step(8);
    add(5, 1);
    expect(brief(step(8))).toEqual([
      ['decode', 2, 1, true, 1],
      ['prefill', 0, 1, false, 0],
    ]);
  });

  test('where there are more streams than rows each has its turn, newcomers behind those who waited for longer', () => {
    const { add, run } = createSmall({ batchRows: 3, logitRows: 2, sequences: 4 });
    const streams = [add(1, 40), add(1, 40), add(1, 40), add(1, 40)];
    for (let turn = 0; turn < 24; turn++) run();
    const counts = streams.map(({ generated }) => generated.length);
    expect(counts.reduce((sum, count) => sum + count)).toBe(48);
    const pages = createPages(8);
    const seats = createSeats(4, 4, pages, createDemand(createContents()));
    const [old, older, fresh] = streams.map((sequence): Sequence => ({ ...sequence, pages: [] }));
    seats.take(old!);
    seats.take(older!);
    expect([seats.choose([old!, older!], 1), seats.choose([old!, older!], 1)]).toEqual([[old], [older]]);
    seats.take(fresh!);
    expect([1, 2, 3].map(() => seats.choose([fresh!, older!, old!], 1)[0])).toEqual([old, fresh, older]);
  });
});

describe('milliseconds of a step', () => {
  const chunkBeside = (streams: number, options: Parameters<typeof priceList>[0]): number => {
    const { add, run, step } = createSmall({ cost: priceList(options), prefillChunk: 400, batchRows: 512 });
    for (let i = 0; i < streams; i++) add(1, 50);
    if (streams > 0) run();
    add(400, 1);
    return step().work.find(({ kind }) => kind === 'prefill')?.count ?? 0;
  };

  test('a step takes ten times its milliseconds while nothing streams', () => {
    expect(chunkBeside(0, { row: 2 })).toBe(200); // 400 ms
    expect(chunkBeside(0, { step: 100, row: 2 })).toBe(148); // 150 rows, in fours
  });

  test('beside streams it takes its milliseconds, or 1.75 times what the streams alone take', () => {
    expect(chunkBeside(3, { row: 1 })).toBe(37); // 40 ms, of which 3 go to the streams
    expect(chunkBeside(4, { step: 10, row: 10 })).toBe(4); // streams alone 50 ms
    expect(chunkBeside(4, { step: 100, row: 5 })).toBe(16); // streams alone 120 ms
  });

  test('a prompt goes on by at least four rows', () => {
    expect(chunkBeside(2, { step: 30, row: 20 })).toBe(4);
    expect(chunkBeside(0, { step: 500, row: 1 })).toBe(4);
    const { add, step } = createSmall({ cost: priceList({ step: 500 }) });
    const [first, second] = [add(9, 1), add(9, 1)];
    expect(step().work).toMatchObject([{ sequence: first, count: 4 }]);
    expect(second).toMatchObject({ phase: 'running', computed: 0 });
  });

  test('logits of a prompt count among its milliseconds', () => {
    const cost = { of: ({ logitRows }: { logitRows: number }) => logitRows * 20, learn: () => undefined, samples: 1 };
    const { add, step } = createSmall({ cost, prefillChunk: 64 });
    add(60, 1, { logits: 'prompt' });
    expect(brief(step())).toEqual([['prefill', 0, 20, false, 20]]);
  });
});

describe('pages', () => {
  test('who waits for pages is not passed', () => {
    const { core, add, run } = createSmall({ pages: 4 });
    const first = add(32, 17);
    run();
    const [large, small] = [add(32, 1), add(1, 1)];
    run();
    expect(phases(first, large, small)).toEqual(['running', 'waiting', 'waiting']);
    core.scheduler.finish(large);
    run();
    expect(small.phase).not.toBe('waiting');
  });

  test('the least urgent is preempted, drains, and goes on from its own tokens', () => {
    const { core, add, step, commit, run } = createSmall({ pages: 3 });
    const first = add(15, 20, { priority: 0 });
    const second = add(15, 20, { priority: -1 });
    step(4);
    for (let i = 0; i < 2; i++) step(4);
    expect([first, second]).toMatchObject([
      { pending: 2, phase: 'draining', pages: [] },
      { pending: 3, pages: [0, 2] },
    ]);
    expect(core.scheduler.counts()).toMatchObject({ waiting: 1, running: 1, preemptions: 1 });
    expect(core.queue.size).toBe(0);
    commit();
    expect(first).toMatchObject({ phase: 'draining', generated: [1000], pending: 1 });
    commit();
    expect(first).toMatchObject({ phase: 'waiting', generated: [1000, 1001], target: 17, pending: 0 });
    for (let i = 0; i < 60; i++) run();
    const answer = Array.from({ length: 20 }, (_, i) => 1000 + i);
    expect([first, second]).toMatchObject([
      { generated: answer, admissions: 2 },
      { generated: answer, admissions: 1 },
    ]);
  });

  test('what comes back of an earlier admission is not in the pages of now', () => {
    const { core, add, step, flights, commit } = createSmall({ pages: 6, prefillChunk: 2 });
    const urgent = add(14, 60, { priority: -1 });
    while (urgent.pending === 0) step(64);
    const long = add(60, 1);
    while (core.scheduler.counts().preemptions === 0) step(64);
    expect([long, urgent]).toMatchObject([{ phase: 'waiting' }, { phase: 'running', pages: [0, 5, 1] }]);
    core.scheduler.finish(urgent);
    expect(step(64).work).toMatchObject([{ sequence: long, start: 0, count: 2 }]);
    while (flights.length > 1) commit();
    expect(long).toMatchObject({ settled: 0, offered: 0 });
    expect(core.pages.counts()).toMatchObject({ kv: 4, idle: 0 });
    commit();
    expect(long.settled).toBe(2);
  });

  test('who drains when the device is lost waits with what came back', () => {
    const { core, add, step, commit, flights, run } = createSmall({ pages: 3 });
    const [first, second] = [add(15, 20), add(15, 20, { priority: -1 })];
    for (let i = 0; i < 3; i++) step(4);
    commit();
    expect(first).toMatchObject({ phase: 'draining', generated: [1000], pending: 1 });
    flights.length = 0;
    core.scheduler.reset();
    expect(core.scheduler.counts()).toMatchObject({ waiting: 2, running: 0 });
    expect(first).toMatchObject({ phase: 'waiting', pending: 0, target: 16 });
    for (let i = 0; i < 60; i++) run();
    expect([first.generated.length, second.generated.length]).toEqual([20, 20]);
  });

  test('who is finished while it drains does not come back', () => {
    const { core, add, step, commit } = createSmall({ pages: 3 });
    const first = add(15, 20);
    add(15, 20, { priority: -1 });
    for (let i = 0; i < 3; i++) step(4);
    expect(first.phase).toBe('draining');
    core.scheduler.finish(first);
    for (let i = 0; i < 3; i++) commit();
    expect([first.generated, core.queue.size, core.scheduler.counts().waiting]).toEqual([[], 0, 0]);
  });

  test('an answer of open length takes what the pool has; one that was asked for and cannot be held is unfit', () => {
    const { core, add, step } = createSmall({ pages: 4 });
    const open = add(10, 200, { length: 'room' });
    const asked = add(60, 6);
    expect(step().unfit).toEqual([asked]);
    expect([open.maxTokens, asked.phase]).toEqual([55, 'finished']);
    expect(core.scheduler.counts().waiting).toBe(0);
  });

  test('a step in which nobody had a page is no step in which nobody could run', () => {
    const { add, step, run } = createSmall({ pages: 3, batchRows: 8, logitRows: 1 });
    const [first, second] = [add(15, 20), add(15, 20)];
    for (let i = 0; i < 200 && second.phase !== 'finished'; i++) expect(run().work).not.toEqual([]);
    expect(phases(first, second)).toEqual(['finished', 'finished']);
    expect(step().work).toEqual([]);
  });
});

describe('seats', () => {
  test('rows that can adjust logits are left to those who need them', () => {
    const { add, run } = createSmall({ sequences: 4, adjustRows: 2 });
    const plain = [add(1, 9), add(1, 9), add(1, 9)];
    const adjusted = [add(1, 2, { slots: 'adjusted' }), add(1, 2, { slots: 'adjusted' })];
    const later = add(1, 9);
    run();
    expect(plain.map(({ row }) => row)).toEqual([2, 3, 0]);
    expect([...adjusted, later].map(({ row }) => row)).toEqual([1, undefined, undefined]);
    run();
    run();
    expect([...adjusted, later].map(({ row }) => row)).toEqual([undefined, 1, undefined]);
  });
});

describe('deadlines', () => {
  test('who waits is given up when its first token cannot come in time, and its place is free in the same step', () => {
    const small = createSmall({ cost: priceList({ row: 1 }), pages: 8 });
    const lost = small.add(100, 1, { deadline: 99 });
    const kept = small.add(100, 1, { deadline: 100 });
    expect(small.core.scheduler.nextDeadline()).toBe(99);
    const turn = small.step();
    expect([turn.expired, turn.work.map(({ sequence }) => sequence)]).toEqual([[lost], [kept]]);
    expect(phases(lost, kept)).toEqual(['finished', 'running']);
  });

  test('the estimate counts the prompts that are being computed, and leaves to decode rows what is theirs', () => {
    const prompts = createSmall({ cost: priceList({ row: 1 }), prefillChunk: 10 });
    prompts.add(50, 1);
    prompts.step();
    const deadlines = [59, 60].map((deadline) => prompts.add(20, 1, { deadline }));
    expect(prompts.step().expired).toEqual(deadlines.slice(0, 1));
    const streams = createSmall({ cost: priceList({ row: 10 }) });
    for (let i = 0; i < 3; i++) streams.add(1, 9);
    streams.run();
    const late = [233, 234].map((deadline) => streams.add(10, 1, { deadline })); // 22.5 of each step's 52.5 ms are left for 100 ms of prompt
    expect(streams.step().expired).toEqual(late.slice(0, 1));
  });

  test('who runs is given up once it is too late, unless its first token came', () => {
    const small = createSmall();
    const [late, early] = [40, 1].map((prompt) => small.add(prompt, 9, { deadline: 1000 }));
    small.run();
    expect(small.core.scheduler.nextDeadline()).toBe(1000);
    small.now = 1001;
    expect(small.run()).toMatchObject({ expired: [late], work: [{ sequence: early, kind: 'decode' }] });
    expect(small.core.scheduler.nextDeadline()).toBeUndefined();
  });

  test('nobody is given up by an estimate that has seen nothing', () => {
    const small = createSmall({ cost: { ...priceList({ row: 100 }), samples: 0 } });
    small.add(100, 1, { deadline: 10 });
    expect(small.step().expired).toEqual([]);
  });
});

describe('wrong calls', () => {
  test('are refused', () => {
    const { core, add } = createSmall({ contextLength: 256, adjustRows: 0 });
    const { scheduler } = core;
    expect(() => add(250, 7)).toThrow(/250 prompt tokens and 7 to generate; the context has 256/);
    expect(() => add(1, 1, { slots: 'adjusted' })).toThrow(/needs adjusted logits/);
    const sequence = add(1, 1);
    expect(() => scheduler.add(sequence)).toThrow(RangeError);
    expect(() => scheduler.schedule(0, 0)).toThrow(RangeError);
    const [work] = scheduler.schedule(0, 1).work;
    scheduler.commit(work!, 1);
    expect(() => scheduler.commit(work!, 1)).toThrow(/no pending token/);
    scheduler.finish(sequence);
    scheduler.finish(sequence);
    expect(() => scheduler.add(sequence)).toThrow(/is not new/);
    scheduler.commit(work!, 1);
    expect(sequence.generated).toEqual([1]);
    expect(() => createSequence({ id: 0, prompt: [], maxTokens: 1, parts: [], logits: 'sampled', arrival: 0 })).toThrow(RangeError);
    expect(() => createSequence({ id: 0, prompt: [1], maxTokens: 0, parts: [], logits: 'sampled', arrival: 0 })).toThrow(RangeError);
  });

  test('to end what was never queued leaves no trace', () => {
    const { core, add, read, step } = createSmall();
    const request = { id: 99, prompt: [1], maxTokens: 1, logits: 'sampled', arrival: 0, ...one('a') } as const;
    core.scheduler.finish(createSequence(request));
    read('a', 1);
    const sequence = add(1, 1, one('a'));
    expect(step().work).toMatchObject([{ sequence }]);
  });
});
