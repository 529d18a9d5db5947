import { WebLoraError } from '../errors.ts';
import type { FileSystem } from './folder-disk.ts';
import { systemClock } from './hub-retry.ts';

/** How often the holder shows that it lives, and for how long others wait for such a sign. */
const BEAT_MS = 500;
const DEAD_AFTER_MS = 4000;
/** A lock that old is nobody's; its holder makes it that old when it lets go. */
const FREE_AFTER_MS = 60_000;
const LONGEST_PAUSE_MS = 200;

/** A lock that is held. */
export interface FolderLock {
  /** Throws `store_failed` where others took this holder for dead, as after a long sleep of the machine. */
  check(): Promise<void>;
  release(): Promise<void>;
}

/**
 * Takes a lock that processes share, and waits for it as long as its holder shows that it lives. Each holder makes a file whose number is
 * one above the last: only one can make it, and no file is ever taken over, so who was taken for dead and goes on frees nobody else's.
 *
 * @param folder where the lock's files lie; made when it is not there.
 * @param signal ends the wait; its reason is thrown.
 */
export async function takeLock(fs: FileSystem, folder: string, signal: AbortSignal | undefined): Promise<FolderLock> {
  await fs.mkdir(folder, { recursive: true });
  let seen: { readonly number: number; readonly changed: number; readonly since: number } | undefined;
  for (let pause = 2; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const last = Math.max(0, ...(await numbersIn(fs, folder)));
    const changed = last === 0 ? 0 : await changeOf(fs, `${folder}/${last}.lock`);
    const now = performance.now();
    if (seen?.number !== last || seen.changed !== changed) seen = { number: last, changed, since: now };
    const free = Date.now() - changed > FREE_AFTER_MS || now - seen.since > DEAD_AFTER_MS;
    if (free && (await takeNumber(fs, folder, last + 1))) return hold(fs, folder, last + 1);
    await systemClock.sleep(pause * (0.5 + Math.random()), signal);
  }
}

async function numbersIn(fs: FileSystem, folder: string): Promise<number[]> {
  const names = await fs.readdir(folder).catch(() => []);
  return names.flatMap((name) => (/^\d+\.lock$/.test(name) ? [Number.parseInt(name)] : []));
}

/** Infinity for a lock that went away meanwhile: look again. */
async function changeOf(fs: FileSystem, file: string): Promise<number> {
  return fs.stat(file).then(
    ({ mtimeMs }) => mtimeMs,
    () => Infinity,
  );
}

/** Whether the number is ours: nobody had it, and nobody has taken a higher one and cleared this one away since we looked. */
async function takeNumber(fs: FileSystem, folder: string, number: number): Promise<boolean> {
  const file = `${folder}/${number}.lock`;
  try {
    await (await fs.open(file, 'wx')).close();
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code === 'EEXIST') return false;
    if (code !== 'ENOENT') throw error;
    await fs.mkdir(folder, { recursive: true }); // the last holder cleared up
    return false;
  }
  const numbers = await numbersIn(fs, folder);
  if (numbers.some((other) => other > number)) {
    await fs.rm(file, { force: true });
    return false;
  }
  await Promise.all(numbers.filter((other) => other < number).map((other) => fs.rm(`${folder}/${other}.lock`, { force: true })));
  return true;
}

function hold(fs: FileSystem, folder: string, number: number): FolderLock {
  const file = `${folder}/${number}.lock`;
  let beating: Promise<unknown> = Promise.resolve();
  let beaten = performance.now();
  const beat = (): void => {
    const began = performance.now();
    beating = fs.utimes(file, new Date(), new Date()).then(
      () => (beaten = began),
      () => undefined, // gone: whoever asks `check` hears of it
    );
  };
  const timer = setInterval(beat, BEAT_MS);
  timer.unref?.();
  return {
    check: async () => {
      if (performance.now() - beaten < DEAD_AFTER_MS / 2) return;
      const numbers = await numbersIn(fs, folder);
      if (numbers.includes(number) && Math.max(...numbers) === number) return;
      throw new WebLoraError('store_failed', `Another process took over ${folder} while this one was stopped; read the file again.`);
    },
    release: async () => {
      clearInterval(timer);
      await beating; // a sign of life that comes late would keep others waiting
      await fs.utimes(file, 0, 0).catch(() => undefined);
    },
  };
}
