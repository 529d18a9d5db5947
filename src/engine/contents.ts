/**
 * What each registered adapter computes, by digest. Adapters of one digest are one to everything that keeps or uses bytes; until its
 * digest is known an adapter stands for itself.
 */
export interface Contents {
  /** Its digest, or the adapter itself. */
  of(adapter: string): string;
  /** Its digest became known, or another: its origin may have changed. Returns what it stood for before. */
  identify(adapter: string, digest: string): string;
  /** Returns what it stood for; `last`: no other adapter stands for that. */
  forget(adapter: string): { readonly content: string; readonly was: 'last' | 'shared' };
  /** The adapters of a content. */
  names(content: string): Iterable<string>;
}

/** Makes an empty record. Pure. */
export function createContents(): Contents {
  const digests = new Map<string, string>();
  const names = new Map<string, Set<string>>();
  const of = (adapter: string): string => digests.get(adapter) ?? adapter;
  const leave = (adapter: string): void => {
    const digest = digests.get(adapter);
    const others = digest === undefined ? undefined : names.get(digest);
    others?.delete(adapter);
    if (others?.size === 0) names.delete(digest!);
    digests.delete(adapter);
  };
  return {
    of,
    identify: (adapter, digest) => {
      const before = of(adapter);
      if (before === digest) return before;
      leave(adapter);
      digests.set(adapter, digest);
      names.set(digest, (names.get(digest) ?? new Set()).add(adapter));
      return before;
    },
    forget: (adapter) => {
      const content = of(adapter);
      leave(adapter);
      return { content, was: names.has(content) ? 'shared' : 'last' };
    },
    names: (content) => names.get(content) ?? [content],
  };
}
