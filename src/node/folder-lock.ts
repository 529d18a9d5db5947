import { mkdir, open, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { unlessAbsent } from './folder-files.ts';

/** How often the owner of a lock shows that it lives, and for how long others wait for such a sign. */
const BEAT_MS = 500;
const DEAD_AFTER_MS = 4000;
/** A lock that old belongs to nobody, whoever looks first; its owner makes it that old when it is done. */
const FREE_AFTER_MS = 60_000;
const LONGEST_PAUSE_MS = 40;

/** What was seen of the last lock, and when it was first seen so. */
interface Sighting {
  readonly number: number;
  readonly changed: number;
  readonly since: number;
}

/**
 * Takes a lock that processes share, and waits for it as long as others show that they live. Each owner makes a file whose number is one
 * above the last; only one can make it, and who has made the highest owns the lock. A file is never taken over, so an owner that was
 * stopped for long and goes on cannot free what is somebody else's by then.
 *
 * @param folder where the lock's files lie; made when it is not there.
 * @returns what frees the lock.
 */
export async function takeLock(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  let seen: Sighting | undefined;
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const last = await lastNumber(folder);
    const changed = last === 0 ? 0 : ((await unlessAbsent(() => stat(fileOf(folder, last))))?.mtimeMs ?? Infinity);
    const now = performance.now();
    if (seen?.number !== last || seen.changed !== changed) seen = { number: last, changed, since: now };
    const free = Date.now() - changed > FREE_AFTER_MS || now - seen.since > DEAD_AFTER_MS;
    if (free && (await takeNumber(folder, last + 1))) return keepAlive(fileOf(folder, last + 1));
    await sleep(pause * (0.5 + Math.random()));
  }
}

function fileOf(folder: string, number: number): string {
  return join(folder, `${number}.lock`);
}

async function numbersIn(folder: string): Promise<number[]> {
  const names = (await unlessAbsent(() => readdir(folder))) ?? [];
  return names.flatMap((name) => (/^\d+\.lock$/.test(name) ? [Number.parseInt(name)] : []));
}

async function lastNumber(folder: string): Promise<number> {
  return (await numbersIn(folder)).reduce((most, number) => Math.max(most, number), 0);
}

/** Whether the number is ours: nobody had it, and nobody has taken a higher one and cleared this one away since we looked. */
async function takeNumber(folder: string, number: number): Promise<boolean> {
  const file = fileOf(folder, number);
  try {
    await (await open(file, 'wx')).close();
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EEXIST') return false;
    throw error;
  }
  const numbers = await numbersIn(folder);
  if (numbers.some((other) => other > number)) {
    await rm(file, { force: true });
    return false;
  }
  await Promise.all(numbers.filter((other) => other < number).map((other) => rm(fileOf(folder, other), { force: true })));
  return true;
}

function keepAlive(file: string): () => Promise<void> {
  let beating: Promise<unknown> = Promise.resolve();
  // A lock that somebody took for dead is gone: there is nothing to keep alive, and nobody to tell before the work ends.
  const beat = (): void => void (beating = utimes(file, new Date(), new Date()).catch(() => undefined));
  const timer = setInterval(beat, BEAT_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await beating; // a sign of life that comes late would keep others waiting
    await unlessAbsent(() => utimes(file, 0, 0));
  };
}
