import type { Placement, Victim } from '../adapters/cache.ts';

/** The pool as a plan sees it. */
export interface Ground {
  readonly total: number;
  eachFree(act: (page: number) => void): void;
  /** Kept by the prefix cache alone. */
  isIdle(page: number): boolean;
  eachIdle(act: (page: number) => void): void;
  /** Adapters that may leave, in the order in which they would. */
  victims(): Iterable<Victim>;
  placement(key: string): Placement;
  hasSlot(): boolean;
  /** When the idle page that would leave first was last used; undefined where none may leave. */
  oldestIdle(): number | undefined;
}

/** What has to leave, and nothing more. */
export interface RunPlan {
  readonly adapters: readonly string[];
  readonly idle: readonly number[];
}

/**
 * Finds who has to leave for a run of `count` pages and a slot, without evicting anybody: victims are looked at in their order, idle pages
 * all together when the first of them would be next, until what is open between the pages of running requests is long enough.
 * Room in pieces is no room, so what evicts as it goes may evict in vain. Undefined where nothing helps.
 */
export function planRun(ground: Ground, count: number): RunPlan | undefined {
  const { total, eachFree, eachIdle, isIdle, placement, hasSlot } = ground;
  const open = createOpenPages(total, count);
  const leaving: { readonly key: string; readonly first: number; readonly end: number }[] = [];
  let run = open.also(eachFree);
  let kept = ground.oldestIdle();

  const solution = (): RunPlan | undefined => {
    if (run === undefined || (!hasSlot() && leaving.length === 0)) return undefined;
    const [from, to] = [run, run + count];
    const inRun = leaving.filter(({ first, end }) => first < to && end > from).map(({ key }) => key);
    const adapters = inRun.length === 0 && !hasSlot() ? [leaving[0]!.key] : inRun;
    return { adapters, idle: Array.from({ length: count }, (_, i) => from + i).filter(isIdle) };
  };
  const openIdle = (): void => {
    kept = undefined;
    run = open.also(eachIdle);
  };

  for (const { key, lastUse, wanted } of ground.victims()) {
    if (kept !== undefined && run === undefined && (wanted !== undefined || kept <= lastUse)) openIdle();
    const found = solution();
    if (found) return found;
    const { firstPage: first, pages } = placement(key);
    leaving.push({ key, first, end: first + pages });
    run ??= open.add(first, first + pages);
    const withIt = solution();
    if (withIt) return withIt;
  }
  if (kept !== undefined && run === undefined) openIdle();
  return solution();
}

interface OpenPages {
  /** Opens pages `first` to `end` − 1; the first page of a run of the wanted length that they are part of, the highest one. */
  add(first: number, end: number): number | undefined;
  /** Opens these pages; the first page of the highest run of the wanted length. */
  also(each: (act: (page: number) => void) => void): number | undefined;
}

function createOpenPages(total: number, count: number): OpenPages {
  const open = new Uint8Array(total);
  return {
    add: (first, end) => {
      open.fill(1, first, end);
      let [from, to] = [first, end];
      while (from > 0 && open[from - 1] === 1) from--;
      while (to < total && open[to] === 1) to++;
      return to - from >= count ? to - count : undefined;
    },
    also: (each) => {
      each((page) => (open[page] = 1));
      let run = 0;
      for (let page = total - 1; page >= 0; page--) {
        run = open[page] === 1 ? run + 1 : 0;
        if (run === count) return page;
      }
      return undefined;
    },
  };
}
