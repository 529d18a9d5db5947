import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createEntry, type AdapterEntry } from '../../src/engine/adapter-entry.ts';
import { createFreshness, type Freshness } from '../../src/engine/adapter-freshness.ts';
import type { ReadingParts } from '../../src/engine/adapter-reading.ts';
import { createTierMeter } from '../../src/engine/tier-meter.ts';
import type { Folder } from '../../src/formats/folder.ts';
import { createSlices } from '../../src/slices.ts';
import { TABLE } from './files.ts';
import { dropped } from './tiers-harness.ts';

const HOUR = 3_600_000;
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], now: 10 * HOUR }));
afterEach(() => void vi.useRealTimers());

const reading = {
  ...{ meter: createTierMeter(), slices: createSlices(), table: TABLE, precision: 'exact', checkFits: () => undefined },
} as unknown as ReadingParts;

interface Checks {
  readonly freshness: Freshness;
  readonly failed: [string, unknown][];
  readonly changed: string[];
  /** What the engine does to take on a change. */
  take: () => Promise<void>;
  readonly closed: AbortController;
}

function checks(): Checks {
  const closed = new AbortController();
  const failed: [string, unknown][] = [];
  const changed: string[] = [];
  const freshness = createFreshness({
    ...{ reading, after: HOUR, isCurrent: () => true, confirmed: () => undefined, signal: closed.signal },
    changed: ({ id }) => (changed.push(id), made.take()),
    failed: ({ id }, error) => failed.push([id, error]),
  });
  const made: Checks = { freshness, failed, changed, closed, take: async () => undefined };
  return made;
}

const entryOf = (id: string, origin: Folder): AdapterEntry =>
  createEntry({ id, key: id, state: 'registered', origin, name: origin.location, digest: 'before' });

/** An origin that takes so long for each answer. */
function slow(ms: number): Folder & { readonly asked: string[] } {
  const folder = dropped('slow', 1);
  const asked: string[] = [];
  const read: Folder['read'] = async (name, start, end) => {
    asked.push(name);
    await new Promise((done) => setTimeout(done, ms));
    return folder.read(name, start, end);
  };
  return { ...folder, fixed: 'no', read, asked };
}

const silent = (): Folder => ({ ...dropped('silent', 1), fixed: 'no', stamp: () => new Promise(() => undefined) });

/** Time passes, in pieces: what is computed between them is no matter of timers. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 5000) {
    await vi.advanceTimersByTimeAsync(Math.min(left, 5000));
    for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
  }
}

describe('an origin that never answers', () => {
  test('is given up after a minute, so that others are asked', async () => {
    const { freshness, failed, changed } = checks();
    const silents = ['1', '2', '3', '4'].map((id) => entryOf(id, silent()));
    const other = entryOf('5', slow(0));
    for (const entry of silents) freshness.use(entry);
    freshness.use(other);
    await pass(59_000);
    expect([failed, changed]).toEqual([[], []]);
    await pass(1000);
    expect(failed.map(([id]) => id)).toEqual(['1', '2', '3', '4']);
    expect(failed[0]![1]).toMatchObject({
      code: 'file_unreadable',
      message: expect.stringContaining('silent gave no answer for 60 seconds'),
    });
    freshness.use(other);
    await vi.waitFor(() => expect(changed).toEqual(['5']), 5000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is an error for those who wait; they may leave before', async () => {
    const { freshness } = checks();
    const entry = entryOf('a', silent());
    const leaving = new AbortController();
    const left = freshness.check(entry, { signal: leaving.signal });
    const waits = freshness.check(entry).catch((error: unknown) => error);
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    await pass(60_000);
    expect(await waits).toMatchObject({ code: 'file_unreadable' });
  });

  test('ends with the engine, and leaves no timer', async () => {
    const { freshness, closed, failed } = checks();
    freshness.use(entryOf('a', silent()));
    const waits = freshness.check(entryOf('b', silent()));
    closed.abort(new Error('closed'));
    await expect(waits).rejects.toThrow('closed');
    expect([vi.getTimerCount(), failed]).toEqual([0, []]);
    await expect(freshness.check(entryOf('c', silent()))).rejects.toThrow('closed');
  });
});

/** How a check ends where time passes only while something is waited for: computing takes none. */
async function outcome(check: Promise<void>, isWaiting: () => boolean): Promise<unknown> {
  const ended: unknown[] = [];
  check.then(
    () => ended.push('done'),
    (error: unknown) => ended.push(error),
  );
  while (ended.length === 0) {
    if (isWaiting()) await vi.advanceTimersToNextTimerAsync();
    await new Promise((done) => setImmediate(done));
  }
  return ended[0];
}

test('an origin that is slow is waited for as long as it answers; what was given up is read no further', async () => {
  const { freshness, changed } = checks();
  const isWaiting = (): boolean => vi.getTimerCount() > 1;
  const patient = slow(40_000);
  let told = 0;
  expect(await outcome(freshness.check(entryOf('a', patient), { onProgress: () => (told += 1) }), isWaiting)).toBe('done');
  expect([changed, told > 0, patient.asked.length > 2]).toEqual([['a'], true, true]);
  const tooSlow = slow(70_000);
  expect(await outcome(freshness.check(entryOf('b', tooSlow)), isWaiting)).toMatchObject({ code: 'file_unreadable' });
  await pass(600_000);
  expect([changed, tooSlow.asked]).toEqual([['a'], ['adapter_config.json']]);
});

test('all who wait are told what is read, until they leave', async () => {
  const { freshness } = checks();
  const entry = entryOf('a', slow(1000));
  const leaving = new AbortController();
  const told = { first: 0, second: 0, left: 0 };
  const wait = (who: keyof typeof told, signal?: AbortSignal) =>
    freshness.check(entry, { onProgress: () => (told[who] += 1), ...(signal && { signal }) });
  const left = wait('left', leaving.signal);
  leaving.abort(new Error('left'));
  await expect(left).rejects.toThrow('left');
  const both = Promise.all([wait('first'), wait('second')]).then(() => undefined);
  expect(await outcome(both, () => vi.getTimerCount() > 1)).toBe('done');
  expect(told).toEqual({ first: told.second, second: told.second, left: 0 });
  expect(told.first).toBeGreaterThan(0);
});

test('a change that waits for its place on the device is not given up', async () => {
  const made = checks();
  made.take = () => new Promise((done) => setTimeout(done, 300_000));
  const check = made.freshness.check(entryOf('a', { ...dropped('now', 1), fixed: 'no' }));
  expect(await outcome(check, () => made.changed.length > 0)).toBe('done');
});
