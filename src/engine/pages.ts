export interface PageCounts {
  readonly total: number;
  /** Pages that sequences hold. */
  readonly kv: number;
  /** Pages that adapters hold. */
  readonly adapters: number;
}

/** The allocator of the pool's pages. KV pages grow from the bottom, adapters from the top; the border moves as the load asks. */
export interface Pages {
  /**
   * Takes `count` KV pages, the lowest free ones, in rising order; undefined, and nothing taken, where fewer are free.
   * Throws `RangeError` unless `count` is a non-negative integer.
   */
  take(count: number): number[] | undefined;
  /** Frees KV pages. Throws `RangeError`, and frees none, where one of them is not a taken KV page or is listed twice. */
  give(pages: readonly number[]): void;
  /**
   * Takes the highest-placed run of `count` free pages for an adapter and returns its first page; undefined where no run fits.
   * Throws `RangeError` unless `count` is a positive integer.
   */
  takeRun(count: number): number | undefined;
  /** Frees a run that `takeRun` gave. Throws `RangeError` where first page and length are not those of a taken run. */
  giveRun(first: number, count: number): void;
  counts(): PageCounts;
}

/** A set of page numbers as one bit each: 32 pages are skipped in one comparison. */
interface PageSet {
  readonly words: Uint32Array;
  has(page: number): boolean;
  add(page: number): void;
  remove(page: number): void;
}

function createPageSet(total: number): PageSet {
  const words = new Uint32Array(Math.ceil(total / 32));
  return {
    words,
    has: (page) => ((words[page >>> 5]! >>> (page & 31)) & 1) === 1,
    add: (page) => {
      words[page >>> 5]! |= 1 << (page & 31);
    },
    remove: (page) => {
      words[page >>> 5]! &= ~(1 << (page & 31));
    },
  };
}

function requireCount(count: number, least: number, what: string): void {
  if (!Number.isSafeInteger(count) || count < least) {
    throw new RangeError(`${what} must be an integer of at least ${least}; got ${count}.`);
  }
}

/** First page of the highest-placed run of `count` members of `free`. */
function highestRun(free: PageSet, total: number, count: number): number | undefined {
  let run = 0;
  for (let page = total - 1; page >= 0; page--) {
    if (run === 0 && free.words[page >>> 5] === 0) {
      page &= ~31; // nothing free among these 32 pages: go on below them
      continue;
    }
    run = free.has(page) ? run + 1 : 0;
    if (run === count) return page;
  }
  return undefined;
}

/**
 * Makes the allocator of pages 0 to `total` − 1, all free. A page number means the same place in every layer's buffer.
 * Throws `RangeError` unless `total` is a non-negative integer below 2^31.
 */
export function createPages(total: number): Pages {
  requireCount(total, 0, 'The number of pages');
  if (total >= 2 ** 31) throw new RangeError(`The number of pages must be below 2^31; got ${total}.`);
  const free = createPageSet(total);
  for (let page = 0; page < total; page++) free.add(page);
  const kvPages = createPageSet(total);
  const runs = new Map<number, number>();
  let kv = 0;
  let adapters = 0;
  let lowestWord = 0; // no page is free in the words below it

  const takeLowest = (): number => {
    while (free.words[lowestWord] === 0) lowestWord++;
    const word = free.words[lowestWord]!;
    const page = lowestWord * 32 + (31 - Math.clz32(word & -word));
    free.remove(page);
    kvPages.add(page);
    return page;
  };
  const release = (page: number): void => {
    free.add(page);
    lowestWord = Math.min(lowestWord, page >>> 5);
  };
  const isKv = (page: number): boolean => Number.isInteger(page) && page >= 0 && page < total && kvPages.has(page);

  return {
    take(count) {
      requireCount(count, 0, 'The number of pages to take');
      if (count > total - kv - adapters) return undefined;
      kv += count;
      return Array.from({ length: count }, takeLowest);
    },
    give(pages) {
      pages.forEach((page, index) => {
        if (isKv(page)) {
          kvPages.remove(page);
          return;
        }
        for (const earlier of pages.slice(0, index)) kvPages.add(earlier);
        throw new RangeError(`Page ${page} is not a taken KV page, or is freed twice; the pool has ${total} pages.`);
      });
      pages.forEach(release);
      kv -= pages.length;
    },
    takeRun(count) {
      requireCount(count, 1, 'The number of pages of a run');
      if (count > total - kv - adapters) return undefined;
      const first = highestRun(free, total, count);
      if (first === undefined) return undefined;
      for (let page = first; page < first + count; page++) free.remove(page);
      runs.set(first, count);
      adapters += count;
      return first;
    },
    giveRun(first, count) {
      if (runs.get(first) !== count) {
        throw new RangeError(`No adapter holds the run of ${count} pages from page ${first}, or it is freed twice.`);
      }
      runs.delete(first);
      for (let page = first; page < first + count; page++) release(page);
      adapters -= count;
    },
    counts: () => ({ total, kv, adapters }),
  };
}
