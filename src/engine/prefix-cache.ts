import { PAGE_TOKENS } from '../kernels/step-layout.ts';
import type { Pages } from './pages.ts';

/**
 * Pages of computed beginnings, kept for the requests to come: a trie whose child key is (parent, its 16 tokens), compared exactly.
 * A root names everything else that the numbers in a page depend on (adapters, scales, cache salt); roots are compared exactly too.
 * A page is in use while anybody but the cache holds it, and was last used when the last of them gave it back.
 */
export interface PrefixCache {
  /**
   * Pages of the longest kept beginning of `tokens` under `root`, at most `limit` of them, in order; one holder more for each, the
   * caller, who gives them back with `Pages.give`.
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
  /** Takes these pages, and what follows them, out of the cache; those that are not kept are passed over. Holders keep theirs. */
  forget(pages: readonly number[]): void;
  /** When the page that `evict` would free was last used, by `clock`; undefined where there is none. */
  oldest(): number | undefined;
  /** Frees the kept page without followers that nobody runs on and whose last use lies furthest back; false where there is none. */
  evict(): boolean;
  /**
   * Where `evict` finds none: takes out the longest unused page that nobody runs on, with all that follows it, although somebody runs
   * on that: who computed the same text at the same time kept its own page of it. False where every kept page is in use.
   */
  evictFollowed(): boolean;
  /** Takes everything out. */
  clear(): void;
}

interface Root {
  readonly name: string;
  readonly followers: Map<string, KeptPage>;
}

interface KeptPage {
  readonly page: number;
  readonly root: Root;
  /** Undefined for the first page of a beginning. */
  readonly parent: KeptPage | undefined;
  /** Its tokens: the key in the followers of its parent. */
  readonly text: string;
  /** Pages of the beginning that ends with this one. */
  readonly depth: number;
  readonly followers: Map<string, KeptPage>;
  lastUse: number;
  /** Place in the sequence of all last uses: unlike `lastUse` no two are the same. */
  order: number;
  /** Index in the heap of candidates. */
  at: number | undefined;
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

function textOf(tokens: readonly number[], index: number): string {
  return tokens.slice(index * PAGE_TOKENS, (index + 1) * PAGE_TOKENS).join();
}

interface Trie {
  readonly roots: ReadonlyMap<string, Root>;
  readonly byPage: ReadonlyMap<number, KeptPage>;
  /** Kept pages of the longest beginning, at most `limit`. */
  follow(name: string, tokens: readonly number[], limit: number): KeptPage[];
  attach(root: Root, parent: KeptPage | undefined, text: string, page: number): KeptPage;
  /** Takes an entry out with all that follow it; returns them, the entry first. A root without followers goes too. */
  detach(top: KeptPage): KeptPage[];
}

function createTrie(): Trie {
  const roots = new Map<string, Root>();
  const byPage = new Map<number, KeptPage>();
  return {
    roots,
    byPage,
    follow(name, tokens, limit) {
      const found: KeptPage[] = [];
      const full = Math.min(limit, Math.floor(tokens.length / PAGE_TOKENS));
      let followers = roots.get(name)?.followers;
      while (followers !== undefined && found.length < full) {
        const next: KeptPage | undefined = followers.get(textOf(tokens, found.length));
        if (next !== undefined) found.push(next);
        followers = next?.followers;
      }
      return found;
    },
    attach(root, parent, text, page) {
      const depth = (parent?.depth ?? 0) + 1;
      const entry: KeptPage = { page, root, parent, text, depth, followers: new Map(), lastUse: 0, order: 0, at: undefined };
      (parent ?? root).followers.set(text, entry);
      roots.set(root.name, root);
      byPage.set(page, entry);
      return entry;
    },
    detach(top) {
      (top.parent ?? top.root).followers.delete(top.text);
      if (top.root.followers.size === 0) roots.delete(top.root.name);
      const gone = [top];
      for (const entry of gone) {
        byPage.delete(entry.page);
        for (const follower of entry.followers.values()) gone.push(follower);
      }
      return gone;
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
}

function createEviction(trie: Trie, pages: Pages, clock: () => number): Eviction {
  const candidates = createUseHeap();
  let uses = 0;
  const isCandidate = (entry: KeptPage): boolean => entry.followers.size === 0 && pages.holders(entry.page) === 1;
  const remove = (top: KeptPage): void => {
    for (const entry of trie.detach(top)) {
      candidates.remove(entry);
      pages.drop(entry.page);
    }
    if (top.parent !== undefined && isCandidate(top.parent)) candidates.add(top.parent);
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
    if (entry.followers.size === 0) candidates.add(entry);
  });

  return { oldest, remove };
}

/**
 * Makes an empty prefix cache over `pages`. `clock` gives the number of the step; it is read when a kept page falls out of use.
 * At most one cache may keep pages of one allocator.
 */
export function createPrefixCache(pages: Pages, clock: () => number): PrefixCache {
  const trie = createTrie();
  const { oldest, remove } = createEviction(trie, pages, clock);

  return {
    take(root, tokens, limit) {
      const found = trie.follow(root, tokens, limit).map((entry) => entry.page);
      pages.hold(found);
      return found;
    },
    find: (root, tokens, limit) => trie.follow(root, tokens, limit).length,
    keep(name, tokens, held, from, upTo) {
      requireSpan(tokens, held, from, upTo);
      const root = trie.roots.get(name) ?? { name, followers: new Map() };
      let parent = from === 0 ? undefined : pageBefore(trie, root, tokens, held, from);
      if (from > 0 && parent === undefined) return;
      for (let index = from; index < upTo; index++) {
        const text = textOf(tokens, index);
        const same = (parent ?? root).followers.get(text);
        if (same === undefined) pages.keep(held[index]!);
        parent = same ?? trie.attach(root, parent, text, held[index]!);
      }
    },
    forget(wrong) {
      for (const page of wrong) {
        const entry = trie.byPage.get(page);
        if (entry !== undefined) remove(entry);
      }
    },
    oldest: () => oldest()?.lastUse,
    evict() {
      const entry = oldest();
      if (entry !== undefined) remove(entry);
      return entry !== undefined;
    },
    evictFollowed() {
      if (pages.counts().idle === 0) return false;
      const unused = [...trie.byPage.values()].filter(({ page }) => pages.holders(page) === 1);
      remove(unused.reduce((first, entry) => (entry.order < first.order ? entry : first)));
      return true;
    },
    clear() {
      for (const root of trie.roots.values()) for (const entry of root.followers.values()) remove(entry);
    },
  };
}
