/** A growing total by the second, over the last moments. */
export interface Rate {
  /** Takes note of the total at a time in milliseconds; totals per second since the window began, undefined after a silence. */
  push(at: number, total: number): number | undefined;
}

interface Point {
  readonly at: number;
  readonly total: number;
}

/** Milliseconds over which it is taken (longer where totals come less often), and after which a silence begins a new measurement. */
export interface RateSpan {
  readonly window: number;
  readonly silence: number;
}

export function createRate({ window, silence }: RateSpan): Rate {
  let points: readonly Point[] = [];
  return {
    push: (at, total) => {
      const last = points.at(-1);
      const isFresh = last === undefined || at - last.at > silence || total < last.total;
      // The one before stays, however long ago it was: a rate needs two.
      points = [...(isFresh ? [] : points.filter((point) => point === last || at - point.at <= window)), { at, total }];
      const first = points[0]!;
      return at > first.at ? ((total - first.total) * 1000) / (at - first.at) : undefined;
    },
  };
}
