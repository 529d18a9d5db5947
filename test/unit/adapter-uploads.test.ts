import { expect, test } from 'vitest';
import type { AdapterPool } from '../../src/adapters/pool.ts';
import { createUploads } from '../../src/engine/adapter-uploads.ts';

const PLACEMENT = { slot: 1, firstPage: 0, pages: 1 };

/** Uploads to a device that has no room so many times, with somebody who can leave so often. */
function crowded(failures: number, others: number) {
  const error = new Error('no room');
  const told: string[] = [];
  let left = failures;
  let loose = others;
  const step = (): 'done' => {
    if (left-- > 0) throw error;
    return 'done';
  };
  const pool = { begin: () => (told.push('begin'), { step }) } as unknown as AdapterPool;
  const uploads = createUploads(() => pool, {
    written: (content) => told.push(`written ${content}`),
    makeRoom: () => (loose-- > 0 ? 'made' : 'none'),
    failed: (content) => {
      told.push(`failed ${content}`);
      uploads.cancel(content); // as its eviction does
    },
  });
  uploads.begin('a', PLACEMENT, {} as never);
  return { uploads, told, error };
}

test('an upload begins anew as often as somebody leaves for it', async () => {
  const { uploads, told } = crowded(2, 2);
  const ended = uploads.ended('a');
  for (let turn = 0; turn < 3; turn++) {
    expect(uploads.isIdle()).toBe(false);
    uploads.go(100);
  }
  await ended;
  expect([uploads.isIdle(), told]).toEqual([true, ['begin', 'begin', 'begin', 'written a']]);
});

test('where nobody can leave, who waits is told why, and the next goes on', async () => {
  const { uploads, told, error } = crowded(1, 0);
  const ended = uploads.ended('a');
  uploads.begin('b', PLACEMENT, {} as never);
  uploads.go(100);
  await expect(ended).rejects.toBe(error);
  expect(told).toEqual(['begin', 'begin', 'failed a', 'written b']);
});
