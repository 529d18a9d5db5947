/** What waits to be admitted. None of its fields but `work` may change while it waits. */
export interface Waiting {
  /** Unique among those that wait. */
  readonly id: number;
  readonly tenant: string;
  /** Lower goes first. */
  readonly priority: number;
  /** Milliseconds. */
  readonly arrival: number;
  /** The adapters that it needs; '' is the base model. */
  readonly flow: string;
  /** Prompt tokens + 2 × tokens to generate; estimates are made with it, nothing is charged by it. */
  readonly work: number;
}

/** Negative where the left one comes first, never 0 for two that differ. */
export type Order<T> = (left: T, right: T) => number;

export const byAge: Order<Waiting> = (left, right) => left.arrival - right.arrival || left.id - right.id;
const byRank: Order<Waiting> = (left, right) => left.priority - right.priority || byAge(left, right);

/** Who waits in one place, in two orders: who goes first, and who waited longest. */
export interface Line<T> {
  readonly ranked: T[];
  readonly aged: T[];
}

/** Index of the first item of a sorted list for which `isBehind` holds; their number where there is none. */
export function firstBehind<T>(items: readonly T[], isBehind: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBehind(items[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function insert<T>(items: T[], item: T, order: Order<T>): void {
  const place = firstBehind(items, (other) => order(other, item) > 0);
  items.splice(place, 0, item);
}

/** Takes an item out of a sorted list. Throws `RangeError` where it is not there, or what it is ordered by changed while it was. */
function takeOut<T>(items: T[], item: T, order: Order<T>): void {
  const place = firstBehind(items, (other) => order(other, item) >= 0);
  if (items[place] !== item) throw new RangeError('It does not wait in this line, or what it is ordered by changed while it did.');
  items.splice(place, 1);
}

/** How things of one kind are lined up. Searches by halves and moves references: a microsecond among thousands. */
export interface LineOrder<T> {
  add(line: Line<T>, item: T): void;
  remove(line: Line<T>, item: T): void;
}

export function lineOrder<T>(rank: Order<T>, age: Order<T>): LineOrder<T> {
  return {
    add({ ranked, aged }, item) {
      insert(ranked, item, rank);
      insert(aged, item, age);
    },
    remove({ ranked, aged }, item) {
      takeOut(ranked, item, rank);
      takeOut(aged, item, age);
    },
  };
}

/** How entries are lined up in a tenant or a flow. */
export const entryOrder: LineOrder<Waiting> = lineOrder(byRank, byAge);
