import { median, ratios } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import type { Timed } from './bed.ts';
import type { Ceilings } from './ceilings.ts';
import { floorOf, type Demand } from './floor.ts';
import type { Bench } from './measure.ts';

/** A kernel at one shape: what is timed, and what it has to do at least. */
export interface Subject {
  readonly name: string;
  readonly timed: Timed;
  readonly demand: Demand;
}

/** Some ways to compute the same, verified; the first is the shipped one. */
export interface Contest {
  readonly name: string;
  readonly alternatives: readonly { readonly name: string; readonly timed: Timed }[];
}

/** Times subjects beside the ceilings, round by round, and gives a row for each. */
export async function rowsOfSubjects({ bed, ceilings, pairs }: Bench, subjects: readonly Subject[]): Promise<Row[]> {
  const times: number[][] = subjects.map(() => []);
  const floors: number[][] = subjects.map(() => []);
  for (const { timed } of subjects) await bed.time(timed); // finds how often a sample repeats it
  for (let pair = 0; pair < pairs; pair++) {
    let now: Ceilings | undefined;
    for (const [i, { timed, demand }] of subjects.entries()) {
      if (i % 16 === 0) now = await ceilings.now();
      times[i]!.push(await bed.time(timed));
      floors[i]!.push(floorOf(demand, now!));
    }
  }
  return subjects.map(({ name, demand }, i) => {
    const ms = median(times[i]!);
    const { median: value, least, most } = ratios(times[i]!.map((of, pair) => ({ of, to: floors[i]![pair]! })));
    const rates = { gflops: demand.flops / ms / 1e6, gbps: demand.bytes / ms / 1e6 };
    return { name, value: ms, unit: 'ms', ...rates, floor: median(floors[i]!), 'of floor': value, least, most };
  });
}

/** Milliseconds beyond which a pipeline takes longer to compile than a tile may save. */
const MOST_COMPILE_MS = 1000;

/**
 * Times alternatives interleaved: a row for each, one for the shipped of the best, and one for the shipped of itself. An alternative that
 * takes too long to compile is timed and listed, and is not the best.
 */
export async function rowsOfContest({ bed, pairs }: Bench, { name, alternatives }: Contest): Promise<Row[]> {
  const shipped = alternatives[0]!;
  const order = [...alternatives, { name: 'again', timed: shipped.timed }];
  for (const { timed } of alternatives) await bed.time(timed);
  const times = order.map((): number[] => []);
  for (let pair = 0; pair < pairs; pair++) {
    // who comes after whom changes from round to round
    for (let i = 0; i < order.length; i++) {
      const index = (i + pair) % order.length;
      times[index]!.push(await bed.time(order[index]!.timed));
    }
  }
  const again = times.pop()!;
  const middles = times.map(median);
  const compiles = (i: number): boolean => i === 0 || alternatives[i]!.timed.compileMs <= MOST_COMPILE_MS;
  const best = middles.reduce((least, ms, i) => (compiles(i) && ms < middles[least]! ? i : least), 0);
  const against = (own: readonly number[], other: readonly number[]) => {
    const { median: value, ...spread } = ratios(own.map((of, i) => ({ of, to: other[i]! })));
    return { value, unit: 'ratio', ...spread };
  };
  return [
    ...alternatives.map((each, i): Row => ({
      name: `${name}: ${i === 0 ? 'shipped, ' : ''}${each.name}`,
      value: middles[i]!,
      unit: 'ms',
      compile: each.timed.compileMs,
    })),
    gate({ name: `${name}: shipped of best`, ...against(times[0]!, times[best]!), best: alternatives[best]!.name }, '<= 1.2'),
    { name: `${name}: shipped of shipped (A/A)`, ...against(again, times[0]!) },
  ];
}
