import { gate, type Row } from '../report.ts';
import { a10g } from './machines.ts';
import { simulate, type Result } from './simulate.ts';
import type { Policy } from './policies.ts';
import { generate, SLORA_LENGTHS, type Arrival } from './workload.ts';

/** Milliseconds to the first token that S-LoRA's figures ask for, and the share of requests that met it, first come, first served. */
export const SLO_MS = 6000;
const SLORA_FIRST_COME = 0.27;
const CLOSE = 0.02;

/** S-LoRA's trace of its table on burstiness: 200 adapters asked for alike, 2 requests a second, 300 s. */
export function sloraTrace(cv: number, seed: number): Arrival[] {
  const popularity = { kind: 'power', alpha: 1 } as const;
  return generate({ seed, requests: 600, adapters: 200, popularity, rate: 2, cv, prompt: SLORA_LENGTHS, answer: SLORA_LENGTHS });
}

/** The share of requests whose first token came in time. */
export function attainment({ outcomes }: Result): number {
  const met = outcomes.filter(({ arrival, firstToken }) => firstToken !== undefined && firstToken - arrival < SLO_MS);
  return met.length / outcomes.length;
}

function run(slowness: number, trace: readonly Arrival[], policy: Policy, deadline: 'none' | 'slo'): Result {
  return simulate(a10g(slowness), { trace, pace: 'ms', policy, ...(deadline === 'slo' && { deadlineMs: SLO_MS }) });
}

/** How slow the machine has to be for first come, first served to attain what it attained for S-LoRA. */
export function calibrate(trace: readonly Arrival[]): number {
  let [fast, slow] = [0.4, 1.6];
  let slowness = 0.8;
  for (let i = 0; i < 12; i++) {
    const excess = attainment(run(slowness, trace, 'first-come', 'none')) - SLORA_FIRST_COME;
    if (Math.abs(excess) < CLOSE) break;
    if (excess > 0) fast = slowness;
    else slow = slowness;
    slowness = (fast + slow) / 2;
  }
  return slowness;
}

/** Early abort against S-LoRA's deadline, on machines on which first come, first served attains what S-LoRA measured. */
export function abortRows(): Row[] {
  return [1, 2, 3].flatMap((seed) => {
    const even = sloraTrace(1, seed);
    const slowness = calibrate(even);
    const rows = (trace: readonly Arrival[], cv: number): Row[] => {
      const row = (who: string, policy: Policy, deadline: 'none' | 'slo'): Row => {
        const result = run(slowness, trace, policy, deadline);
        const expired = result.outcomes.filter(({ end }) => end === 'expired').length;
        const finished = result.outcomes.filter(({ end }) => end === 'finished').length;
        const more = {
          expired,
          'requests per second': (1000 * finished) / result.ms,
          loads: result.loads,
          preemptions: result.preemptions,
        };
        return { name: `abort/cv ${cv}, seed ${seed}: ${who}`, value: attainment(result), unit: 'share', ...more };
      };
      return [row('first come', 'first-come', 'none'), row('fair', 'weblora', 'none'), row('early abort', 'weblora', 'slo')];
    };
    const [first, fair, abort] = rows(even, 1);
    const off = {
      name: `abort/cv 1, seed ${seed}: first come off S-LoRA's`,
      value: Math.abs(first!.value! - SLORA_FIRST_COME),
      unit: 'share',
    };
    return [first!, gate(off, '<= 0.05'), fair!, gate(abort!, '>= 0.8'), ...rows(sloraTrace(8, seed), 8)];
  });
}
