import type { Placement, Victim } from '../adapters/cache.ts';
import { highestRun, type PageSet } from './page-set.ts';

/** The pool as a plan sees it. */
export interface Ground {
  /** The pages that nobody has, in a set to work in. */
  open(): PageSet;
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
 * Finds who has to leave for a run of `count` pages and a slot, where one of them is not free, without evicting anybody: victims are looked
 * at in their order, idle pages all together when the first of them would be next, until what is open between the pages of running
 * requests is long enough. Room in pieces is no room, so what evicts as it goes may evict in vain. Undefined where nothing helps.
 */
export function planRun(ground: Ground, count: number): RunPlan | undefined {
  const { eachIdle, isIdle, placement } = ground;
  const hasSlot = ground.hasSlot();
  const open = ground.open();
  const leaving: { readonly key: string; readonly first: number; readonly end: number }[] = [];
  let run = hasSlot ? undefined : highestRun(open, count);
  let kept = ground.oldestIdle();

  const openIdle = (): void => {
    kept = undefined;
    eachIdle(open.add);
    run = highestRun(open, count);
  };

  for (const { key, lastUse, wanted } of ground.victims()) {
    if (kept !== undefined && run === undefined && (wanted !== undefined || kept <= lastUse)) openIdle();
    if (run !== undefined && (hasSlot || leaving.length > 0)) break;
    const { firstPage: first, pages } = placement(key);
    leaving.push({ key, first, end: first + pages });
    run ??= openRun(open, first, first + pages, count);
    if (run !== undefined) break;
  }
  if (kept !== undefined && run === undefined) openIdle();
  if (run === undefined || (!hasSlot && leaving.length === 0)) return undefined;
  const from = run;
  const inRun = leaving.filter(({ first, end }) => first < from + count && end > from).map(({ key }) => key);
  const adapters = inRun.length === 0 && !hasSlot ? [leaving[0]!.key] : inRun;
  return { adapters, idle: Array.from({ length: count }, (_, i) => from + i).filter(isIdle) };
}

/** Adds pages `first` to `end` − 1; the first page of a run of `count` that they are part of, the highest one. */
function openRun(open: PageSet, first: number, end: number, count: number): number | undefined {
  for (let page = first; page < end; page++) open.add(page);
  let from = first;
  let to = end;
  while (from > 0 && open.has(from - 1)) from--;
  while (to < open.total && open.has(to)) to++;
  return to - from >= count ? to - count : undefined;
}
