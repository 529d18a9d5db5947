import { PAGE_TOKENS } from '../kernels/step-layout.ts';

/** What a beginning depends on besides its tokens. */
export interface Root {
  readonly name: string;
  readonly followers: Map<string, KeptPage>;
}

/** A page's tokens after all before them, and the page that holds what was computed of them. */
export interface KeptPage {
  /** Undefined: it was evicted, and what follows is still of use, because a window does not reach back to it. */
  page: number | undefined;
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

/** The tokens of a page as a key. */
export function textOf(tokens: readonly number[], index: number): string {
  return tokens.slice(index * PAGE_TOKENS, (index + 1) * PAGE_TOKENS).join();
}

export interface Trie {
  readonly roots: ReadonlyMap<string, Root>;
  readonly byPage: ReadonlyMap<number, KeptPage>;
  /** The longest beginning, at most `limit` pages of it. */
  follow(name: string, tokens: readonly number[], limit: number): KeptPage[];
  attach(root: Root, parent: KeptPage | undefined, text: string, page: number): KeptPage;
  /** The entry holds this page from now on, or none. */
  fill(entry: KeptPage, page: number | undefined): void;
  /**
   * Takes an entry out with all that follow it, and those without a page before it that nothing else follows; returns them, the entry
   * first. A root without followers goes too.
   */
  detach(top: KeptPage): KeptPage[];
}

export function createTrie(): Trie {
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
    fill(entry, page) {
      if (entry.page !== undefined) byPage.delete(entry.page);
      entry.page = page;
      if (page !== undefined) byPage.set(page, entry);
    },
    detach(top) {
      let highest = top;
      (top.parent ?? top.root).followers.delete(top.text);
      while (highest.parent?.page === undefined && highest.parent?.followers.size === 0) {
        highest = highest.parent;
        (highest.parent ?? highest.root).followers.delete(highest.text);
      }
      if (top.root.followers.size === 0) roots.delete(top.root.name);
      const gone = [top];
      for (const entry of gone) {
        if (entry.page !== undefined) byPage.delete(entry.page);
        for (const follower of entry.followers.values()) gone.push(follower);
      }
      return gone;
    },
  };
}
