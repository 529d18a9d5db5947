import { PAGE_TOKENS } from '../kernels/step-layout.ts';
import type { Pages } from './pages.ts';
import { createTrie, textOf, type KeptPage, type Root, type Trie } from './prefix-trie.ts';
import { firstPage, GONE } from './window.ts';

/**
 * Pages of computed beginnings, kept for the requests to come: a trie whose child key is (parent, its 16 tokens), compared exactly.
 * A root names everything else that the numbers in a page depend on (adapters, scales, cache salt); roots are compared exactly too.
 * A page is in use while anybody but the cache holds it, and was last used when the last of them gave it back.
 *
 * Where all layers of the model have windows, a beginning is of use without the pages that no further row reads: of these each may be
 * evicted alone, its entry stays while others follow it, and a beginning ends where the pages of the window before its end are all kept.
 */
export interface PrefixCache {
  /**
   * Pages of the longest kept beginning of `tokens` under `root`, at most `limit` of them, in order; one holder more for each, the
   * caller, who gives them back with `Pages.give`. `GONE` stands for those that no row behind them reads: nobody holds them for it.
   */
  take(root: string, tokens: readonly number[], limit: number): number[];
  /** How many pages `take` would give. Not a use. */
  find(root: string, tokens: readonly number[], limit: number): number;
  /**
   * Keeps the caller's pages `from` to `upTo` − 1 of a beginning, where `pages[i]` holds tokens 16i to 16i + 15 after all tokens
   * before. Where the same text is kept already, that page stays and the caller's remains its own. Where what comes before `from`
   * is no longer kept, nothing is. Throws `RangeError` where tokens or pages end before `upTo`, or a page is not taken.
   */
  keep(root: string, tokens: readonly number[], pages: readonly number[], from: number, upTo: number): void;
  /**
   * Takes these pages out of the cache, and what cannot be found without them; those that are not kept are passed over. Holders keep
   * theirs.
   */
  forget(pages: readonly number[]): void;
  /** Takes out everything that begins with the same page as these tokens. Holders keep theirs. */
  forgetText(root: string, tokens: readonly number[]): void;
  /** When the page that `evict` would free was last used, by `clock`; undefined where there is none. */
  oldest(): number | undefined;
  /** Frees the kept page, without followers that need it, that nobody runs on and that was used longest ago; false where there is none. */
  evict(): boolean;
  /**
   * Where `evict` finds none: takes out the longest unused page that nobody runs on, with all that follows it, although somebody runs
   * on that: who computed the same text at the same time kept its own page of it. False where every kept page is in use.
   */
  evictFollowed(): boolean;
  /** Takes everything out. */
  clear(): void;
}

/** A binary heap by `order`, lowest first, that knows where each member lies. */
interface UseHeap {
  first(): KeptPage | undefined;
  /** No-op for members. */
  add(entry: KeptPage): void;
  /** No-op for others. */
  remove(entry: KeptPage): void;
}

function createUseHeap(): UseHeap {
  const heap: KeptPage[] = [];
  const put = (entry: KeptPage, at: number): void => {
    heap[at] = entry;
    entry.at = at;
  };
  /** Finds the place of an entry from the gap at `at`: up while its parent is younger, else down while a child is older. */
  const settle = (entry: KeptPage, gap: number): void => {
    let at = gap;
    for (let up = (at - 1) >> 1; at > 0 && heap[up]!.order > entry.order; up = (at - 1) >> 1) {
      put(heap[up]!, at);
      at = up;
    }
    for (;;) {
      let down = 2 * at + 1;
      if (down + 1 < heap.length && heap[down + 1]!.order < heap[down]!.order) down++;
      if (down >= heap.length || heap[down]!.order > entry.order) break;
      put(heap[down]!, at);
      at = down;
    }
    put(entry, at);
  };
  return {
    first: () => heap[0],
    add(entry) {
      if (entry.at !== undefined) return;
      heap.push(entry);
      settle(entry, heap.length - 1);
    },
    remove(entry) {
      const { at } = entry;
      if (at === undefined) return;
      entry.at = undefined;
      const last = heap.pop()!;
      if (last !== entry) settle(last, at);
    },
  };
}

/** The kept page before index `from` of a beginning. Whoever's own page is kept need not be followed down from the root. */
function pageBefore(trie: Trie, root: Root, tokens: readonly number[], pages: readonly number[], from: number): KeptPage | undefined {
  const own = trie.byPage.get(pages[from - 1]!);
  if (own !== undefined && own.root === root && own.depth === from && own.text === textOf(tokens, from - 1)) return own;
  return trie.follow(root.name, tokens, from)[from - 1];
}

function requireSpan(tokens: readonly number[], pages: readonly number[], from: number, upTo: number): void {
  const full = Math.min(pages.length, Math.floor(tokens.length / PAGE_TOKENS));
  if (Number.isSafeInteger(from) && Number.isSafeInteger(upTo) && from >= 0 && upTo <= full) return;
  throw new RangeError(`Pages ${from} to ${upTo} of a beginning of ${tokens.length} tokens in ${pages.length} pages cannot be kept.`);
}

interface Eviction {
  /** The page to free next. */
  oldest(): KeptPage | undefined;
  /** Takes an entry out of the cache with all that follow it. */
  remove(top: KeptPage): void;
  /** Takes an entry's page out of the cache, and with it what cannot be found without it. */
  free(entry: KeptPage): void;
}

function createEviction(trie: Trie, pages: Pages, clock: () => number, window: number): Eviction {
  const candidates = createUseHeap();
  let uses = 0;
  const isNeeded = (entry: KeptPage): boolean => window === Infinity && entry.followers.size > 0;
  const isCandidate = (entry: KeptPage): boolean => entry.page !== undefined && !isNeeded(entry) && pages.holders(entry.page) === 1;
  const remove = (top: KeptPage): void => {
    for (const entry of trie.detach(top)) {
      candidates.remove(entry);
      if (entry.page !== undefined) pages.drop(entry.page);
    }
    if (top.parent !== undefined && isCandidate(top.parent)) candidates.add(top.parent);
  };
  const free = (entry: KeptPage): void => {
    if (entry.followers.size === 0 || isNeeded(entry)) return remove(entry);
    candidates.remove(entry);
    pages.drop(entry.page!);
    trie.fill(entry, undefined);
  };
  /** Members that somebody runs on again, or that got followers, leave here: they are looked at once, not at every call. */
  const oldest = (): KeptPage | undefined => {
    let first = candidates.first();
    while (first !== undefined && !isCandidate(first)) {
      candidates.remove(first);
      first = candidates.first();
    }
    return first;
  };

  pages.whenIdle((page) => {
    const entry = trie.byPage.get(page);
    if (entry === undefined) return;
    candidates.remove(entry);
    entry.lastUse = clock();
    entry.order = ++uses;
    if (isCandidate(entry)) candidates.add(entry);
  });

  return { oldest, remove, free };
}

/** How many pages of this beginning are of use: the most whose window has all its pages. */
function usable(beginning: readonly KeptPage[], window: number): number {
  let count = 0;
  let gap = 0; // pages up to the last one that is missing
  for (const [index, { page }] of beginning.entries()) {
    if (page === undefined) gap = index + 1;
    if (gap <= firstPage((index + 1) * PAGE_TOKENS, window)) count = index + 1;
  }
  return count;
}

/**
 * Makes an empty prefix cache over `pages`. `clock` gives the number of the step; it is read when a kept page falls out of use. `window`:
 * positions that the layer that reads most reads, Infinity for all. At most one cache may keep pages of one allocator.
 */
export function createPrefixCache(pages: Pages, clock: () => number, window = Infinity): PrefixCache {
  const trie = createTrie();
  const { oldest, remove, free } = createEviction(trie, pages, clock, window);
  const find = (root: string, tokens: readonly number[], limit: number): readonly KeptPage[] => {
    const beginning = trie.follow(root, tokens, limit);
    return beginning.slice(0, usable(beginning, window));
  };

  return {
    take(root, tokens, limit) {
      const found = find(root, tokens, limit);
      const first = firstPage(found.length * PAGE_TOKENS, window);
      const held = found.slice(first).map(({ page }) => page!);
      pages.hold(held);
      return [...found.slice(0, first).map(() => GONE), ...held];
    },
    find: (root, tokens, limit) => find(root, tokens, limit).length,
    keep(name, tokens, held, from, upTo) {
      requireSpan(tokens, held, from, upTo);
      const root = trie.roots.get(name) ?? { name, followers: new Map() };
      let parent = from === 0 ? undefined : pageBefore(trie, root, tokens, held, from);
      if (from > 0 && parent === undefined) return;
      for (let index = from; index < upTo; index++) {
        const text = textOf(tokens, index);
        const same = (parent ?? root).followers.get(text);
        if (same?.page === undefined) pages.keep(held[index]!);
        if (same && same.page === undefined) trie.fill(same, held[index]);
        parent = same ?? trie.attach(root, parent, text, held[index]!);
      }
    },
    forget(wrong) {
      for (const page of wrong) {
        const entry = trie.byPage.get(page);
        if (entry !== undefined) free(entry);
      }
    },
    forgetText(root, tokens) {
      const [first] = trie.follow(root, tokens, 1);
      if (first !== undefined) remove(first);
    },
    oldest: () => oldest()?.lastUse,
    evict() {
      const entry = oldest();
      if (entry !== undefined) free(entry);
      return entry !== undefined;
    },
    evictFollowed() {
      if (pages.counts().idle === 0) return false;
      const unused = [...trie.byPage].filter(([page]) => pages.holders(page) === 1).map(([, entry]) => entry);
      remove(unused.reduce((first, entry) => (entry.order < first.order ? entry : first)));
      return true;
    },
    clear() {
      for (const root of trie.roots.values()) for (const entry of root.followers.values()) remove(entry);
    },
  };
}
