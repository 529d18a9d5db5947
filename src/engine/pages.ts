import { createPageSet, highestRun, type PageSet } from './page-set.ts';

export interface PageCounts {
  readonly total: number;
  /** Taken KV pages, those that only the prefix cache keeps included. */
  readonly kv: number;
  /** KV pages that the prefix cache keeps and nobody else holds. */
  readonly idle: number;
  /** Pages that adapters hold. */
  readonly adapters: number;
}

/**
 * The allocator of the pool's pages. KV pages grow from the bottom, adapters from the top; the border moves as the load asks.
 * A KV page may have several holders: sequences that begin alike, and the prefix cache, which keeps it for those to come.
 */
export interface Pages {
  /**
   * Takes `count` KV pages, the lowest free ones, in rising order, each with one holder; undefined, and nothing taken, where fewer
   * are free. Throws `RangeError` unless `count` is a non-negative integer.
   */
  take(count: number): number[] | undefined;
  /** One holder more for each of these. Throws `RangeError`, and changes none, where one is not a taken KV page or is listed twice. */
  hold(pages: readonly number[]): void;
  /**
   * One holder less for each of these; a page without holders is free. Throws `RangeError`, and changes none, where one of them has
   * no holder but the prefix cache, is not a taken KV page, or is listed twice.
   */
  give(pages: readonly number[]): void;
  /** The prefix cache keeps this page: one holder more. Throws `RangeError` where it is not a taken KV page or is kept already. */
  keep(page: number): void;
  /** Ends what `keep` began; a page without holders is free. Throws `RangeError` where the page is not kept. */
  drop(page: number): void;
  /** Holders of a page, the prefix cache included; 0 where it is not a taken KV page. */
  holders(page: number): number;
  /** Calls `act` whenever a kept page lost its last holder but the prefix cache. `act` may not call back into the allocator. */
  whenIdle(act: (page: number) => void): void;
  /**
   * Takes the highest-placed run of `count` free pages for an adapter and returns its first page; undefined where no run fits.
   * Throws `RangeError` unless `count` is a positive integer.
   */
  takeRun(count: number): number | undefined;
  /** Makes `set` the pages that nobody has, neither a sequence nor the prefix cache nor an adapter. */
  copyFree(set: PageSet): void;
  /** Whether the prefix cache alone holds it; and every such page. */
  isIdle(page: number): boolean;
  eachIdle(act: (page: number) => void): void;
  /** Frees a run that `takeRun` gave. Throws `RangeError` where first page and length are not those of a taken run. */
  giveRun(first: number, count: number): void;
  counts(): PageCounts;
}

function requireCount(count: number, least: number, what: string): void {
  if (!Number.isSafeInteger(count) || count < least) {
    throw new RangeError(`${what} must be an integer of at least ${least}; got ${count}.`);
  }
}

interface Holders {
  of(page: number): number;
  /** Whether nobody but the prefix cache holds it. */
  isIdle(page: number): boolean;
  isKept(page: number): boolean;
  add(page: number): void;
  /** One less; returns how many are left. */
  remove(page: number): number;
  keep(page: number): void;
  drop(page: number): number;
  /** How many pages are idle, and each of them. */
  idle(): number;
  eachIdle(act: (page: number) => void): void;
}

/** Counts the holders of each page, and of all of them those that are idle. */
function createHolders(total: number): Holders {
  const counts = new Uint32Array(total);
  const kept = createPageSet(total);
  let idle = 0;
  const isIdle = (page: number): boolean => counts[page] === 1 && kept.has(page);
  const change = (page: number, act: () => void): number => {
    if (isIdle(page)) idle--;
    act();
    if (isIdle(page)) idle++;
    return counts[page]!;
  };
  return {
    of: (page) => counts[page] ?? 0,
    isIdle,
    isKept: (page) => counts[page] !== undefined && kept.has(page),
    add: (page) => void change(page, () => counts[page]!++),
    remove: (page) => change(page, () => counts[page]!--),
    keep: (page) => {
      change(page, () => {
        counts[page]!++;
        kept.add(page);
      });
    },
    drop: (page) =>
      change(page, () => {
        counts[page]!--;
        kept.remove(page);
      }),
    idle: () => idle,
    eachIdle: (act) => kept.each((page) => isIdle(page) && act(page)),
  };
}

interface Runs {
  /** First page of the run taken out of `free`. */
  take(count: number): number | undefined;
  /** The run is no longer an adapter's; its pages are not free yet. */
  end(first: number, count: number): void;
}

function createRuns(free: PageSet): Runs {
  const runs = new Map<number, number>();
  return {
    take(count) {
      const first = highestRun(free, count);
      if (first === undefined) return undefined;
      for (let page = first; page < first + count; page++) free.remove(page);
      runs.set(first, count);
      return first;
    },
    end(first, count) {
      if (runs.get(first) !== count) {
        throw new RangeError(`No adapter holds the run of ${count} pages from page ${first}, or it is freed twice.`);
      }
      runs.delete(first);
    },
  };
}

interface FreePages extends PageSet {
  takeLowest(): number;
}

/** All of `total` pages, free. */
function createFreePages(total: number): FreePages {
  const set = createPageSet(total);
  for (let page = 0; page < total; page++) set.add(page);
  let lowestWord = 0; // no page is free in the words below it
  return {
    ...set,
    add(page) {
      set.add(page);
      lowestWord = Math.min(lowestWord, page >>> 5);
    },
    takeLowest() {
      while (set.words[lowestWord] === 0) lowestWord++;
      const word = set.words[lowestWord]!;
      const page = lowestWord * 32 + (31 - Math.clz32(word & -word));
      set.remove(page);
      return page;
    },
  };
}

/** Throws `RangeError` where a page has fewer than `least` holders other than the prefix cache, is not taken, or is listed twice. */
function requireHeld(pages: readonly number[], holders: Holders, least: number): void {
  if (new Set(pages).size !== pages.length) throw new RangeError(`A page is listed twice in [${pages.join(', ')}].`);
  for (const page of pages) {
    const all = holders.of(page);
    if (all === 0) throw new RangeError(`Page ${page} is not a taken KV page, or is freed twice.`);
    if (all - Number(holders.isKept(page)) < least) {
      throw new RangeError(`Page ${page} is held by the prefix cache alone: it is freed twice, or was never held.`);
    }
  }
}

/**
 * Makes the allocator of pages 0 to `total` − 1, all free. A page number means the same place in every layer's buffer.
 * Throws `RangeError` unless `total` is a non-negative integer below 2^31.
 */
export function createPages(total: number): Pages {
  requireCount(total, 0, 'The number of pages');
  if (total >= 2 ** 31) throw new RangeError(`The number of pages must be below 2^31; got ${total}.`);
  const free = createFreePages(total);
  const holders = createHolders(total);
  const runs = createRuns(free);
  const listeners: ((page: number) => void)[] = [];
  let kv = 0;
  let adapters = 0;
  const release = (page: number): void => {
    free.add(page);
    kv--;
  };

  return {
    take(count) {
      requireCount(count, 0, 'The number of pages to take');
      if (count > total - kv - adapters) return undefined;
      kv += count;
      const taken = Array.from({ length: count }, free.takeLowest);
      taken.forEach(holders.add);
      return taken;
    },
    hold(pages) {
      requireHeld(pages, holders, 0);
      pages.forEach(holders.add);
    },
    give(pages) {
      requireHeld(pages, holders, 1);
      for (const page of pages) if (holders.remove(page) === 0) release(page);
      for (const page of pages) if (holders.isIdle(page)) for (const act of listeners) act(page);
    },
    keep(page) {
      requireHeld([page], holders, 0);
      if (holders.isKept(page)) throw new RangeError(`Page ${page} is kept already.`);
      holders.keep(page);
    },
    drop(page) {
      if (!holders.isKept(page)) throw new RangeError(`Page ${page} is not kept.`);
      if (holders.drop(page) === 0) release(page);
    },
    holders: holders.of,
    whenIdle: (act) => void listeners.push(act),
    copyFree: (set) => set.words.set(free.words),
    isIdle: holders.isIdle,
    eachIdle: holders.eachIdle,
    takeRun(count) {
      requireCount(count, 1, 'The number of pages of a run');
      const first = count > total - kv - adapters ? undefined : runs.take(count);
      if (first !== undefined) adapters += count;
      return first;
    },
    giveRun(first, count) {
      runs.end(first, count);
      for (let page = first; page < first + count; page++) free.add(page);
      adapters -= count;
    },
    counts: () => ({ total, kv, idle: holders.idle(), adapters }),
  };
}
