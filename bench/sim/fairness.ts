import { median, quantile } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import { inPlaces } from './machines.ts';
import { simulate, type Step } from './simulate.ts';
import { generate, merge, type Arrival } from './workload.ts';

const FLOOD = 'flood';
const OTHERS = ['ada', 'bob', 'cyd'] as const;
const LENGTHS = [8, 64] as const;

/** A tenant counts as waiting when it has had requests waiting for so long: who is served at once may wait for a step, and lacks nothing. */
const BACKLOG_MS = 1000;
/** Requests per second of these lengths that the machine serves. */
const CAPACITY = 14;

export interface FairnessCase {
  readonly seed: number;
  readonly weights: Readonly<Record<string, number>>;
  /** Seconds in which requests come. */
  readonly seconds: number;
  /** What each of the others asks for, as a multiple of what its weight entitles it to. */
  readonly demand: number;
}

/** One tenant asks for 100 adapters, twice what the machine can serve; three others have ten adapters each and a demand of their own. */
function floodTrace({ seed, seconds, weights, demand }: FairnessCase): Arrival[] {
  const lengths = { prompt: LENGTHS, answer: LENGTHS, cv: 1, popularity: { kind: 'zipf', exponent: 0.6 } } as const;
  const weight = (tenant: string): number => weights[tenant] ?? 1;
  const total = [FLOOD, ...OTHERS].reduce((sum, tenant) => sum + weight(tenant), 0);
  const tenants = [FLOOD, ...OTHERS].map((tenant, i) => {
    const rate = tenant === FLOOD ? 2 * CAPACITY : (demand * CAPACITY * weight(tenant)) / total;
    const requests = Math.floor(rate * seconds);
    return generate({ ...lengths, seed: seed * 10 + i, tenant, adapters: tenant === FLOOD ? 100 : 10, rate, requests });
  });
  return merge(...tenants);
}

/** Weighted tokens, 1 for each of a prompt and 2 for each of an answer, that the flood got, and those that its weight entitled it to. */
function createShares(weights: Readonly<Record<string, number>>, until: number) {
  const weight = (tenant: string): number => weights[tenant] ?? 1;
  const sums = { got: 0, entitled: 0, steps: 0 };
  const since = new Map<string, number>();
  const waits = (tenant: string, { now, waiting }: Step): boolean => {
    if (!waiting.has(tenant)) since.delete(tenant);
    else if (!since.has(tenant)) since.set(tenant, now);
    return now - (since.get(tenant) ?? now) >= BACKLOG_MS;
  };
  return {
    sums,
    /** Counts a step in which others wait: of what they and the flood get together, each has what its weight says. */
    note: (step: Step): void => {
      const others = OTHERS.filter((tenant) => waits(tenant, step));
      if (others.length === 0 || !step.waiting.has(FLOOD) || step.now > until) return;
      const served = (tenants: readonly string[]): number =>
        step.work
          .filter(({ sequence }) => tenants.includes(sequence.tenant))
          .reduce((sum, { count, kind }) => sum + (kind === 'prefill' ? count : 2), 0);
      const total = others.reduce((sum, tenant) => sum + weight(tenant), weight(FLOOD));
      sums.got += served([FLOOD]);
      sums.entitled += (served([FLOOD, ...others]) * weight(FLOOD)) / total;
      sums.steps += 1;
    },
  };
}

export interface FloodResult {
  /** How many times its weight's share the flooding tenant got in the steps in which others waited; undefined where there was none. */
  readonly times: number | undefined;
  readonly steps: number;
  /** Milliseconds to the first token of the others' requests. */
  readonly others: readonly number[];
}

/** Floods an engine. */
export function flood(one: FairnessCase): FloodResult {
  const shares = createShares(one.weights, one.seconds * 1000);
  const trace = floodTrace(one);
  const run = { trace, pace: 'ms', policy: 'weblora', weights: one.weights, onStep: shares.note } as const;
  const { outcomes } = simulate(inPlaces(48, 16), run);
  const others = outcomes.filter((_, i) => trace[i]!.tenant !== FLOOD).map(({ arrival, firstToken }) => firstToken! - arrival);
  const { got, entitled, steps } = shares.sums;
  return { times: steps > 0 ? got / entitled : undefined, steps, others };
}

/** A tenant that floods the engine, with as much weight as each of the others, with a third of it, and with thrice as much. */
export function fairnessRows(): Row[] {
  const cases = { '1:1': {}, '1:3': Object.fromEntries(OTHERS.map((tenant) => [tenant, 3])), '3:1': { [FLOOD]: 3 } };
  return Object.entries(cases).flatMap(([name, weights]) =>
    [1, 2, 3].flatMap((seed): Row[] => {
      const at = `fairness/weights ${name}, seed ${seed}`;
      const { times, steps } = flood({ seed, weights, seconds: 60, demand: 1.3 });
      const modest = flood({ seed, weights, seconds: 60, demand: 0.6 });
      return [
        gate({ name: `${at}: flood`, value: times, unit: 'of its share', steps }, '<= 1.1'),
        { name: `${at}: first token of who asks for less`, value: quantile(modest.others, 0.95), unit: 'ms', p50: median(modest.others) },
      ];
    }),
  );
}
