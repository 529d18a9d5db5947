/** A set of page numbers as one bit each: 32 pages are skipped in one comparison. */
export interface PageSet {
  /** Members are below it. */
  readonly total: number;
  readonly words: Uint32Array;
  each(act: (page: number) => void): void;
  has(page: number): boolean;
  add(page: number): void;
  remove(page: number): void;
}

/** An empty set of pages below `total`. */
export function createPageSet(total: number): PageSet {
  const words = new Uint32Array(Math.ceil(total / 32));
  return {
    total,
    words,
    each: (act) => {
      for (let i = 0; i < words.length; i++) {
        for (let word = words[i]!; word !== 0; word &= word - 1) act(i * 32 + 31 - Math.clz32(word & -word));
      }
    },
    has: (page) => ((words[page >>> 5]! >>> (page & 31)) & 1) === 1,
    add: (page) => {
      words[page >>> 5]! |= 1 << (page & 31);
    },
    remove: (page) => {
      words[page >>> 5]! &= ~(1 << (page & 31));
    },
  };
}

/** First page of the highest-placed run of `count` members. */
export function highestRun(set: PageSet, count: number): number | undefined {
  let run = 0;
  for (let page = set.total - 1; page >= 0; page--) {
    if (run === 0 && set.words[page >>> 5] === 0) {
      page &= ~31; // none of these 32 pages: go on below them
      continue;
    }
    run = set.has(page) ? run + 1 : 0;
    if (run === count) return page;
  }
  return undefined;
}
