import { median, quantile } from '../pairs.ts';
import type { Row } from '../report.ts';
import { attainment, SLO_MS } from './abort.ts';
import { a10g } from './machines.ts';
import { simulate } from './simulate.ts';
import { generate, SLORA_LENGTHS } from './workload.ts';

/** S-LoRA's axis, and on. */
const ADAPTERS = [5, 100, 1000, 2000, 10_000];

/** The same load, from 5 adapters to 10,000. */
export function scaleRows(): Row[] {
  return ADAPTERS.flatMap((adapters) => {
    const popularity = { kind: 'power', alpha: 1 } as const;
    const trace = generate({
      seed: 1,
      requests: 1200,
      adapters,
      popularity,
      rate: 10,
      cv: 1,
      prompt: SLORA_LENGTHS,
      answer: SLORA_LENGTHS,
    });
    const result = simulate(a10g(0.15), { trace, pace: 'ms', policy: 'weblora', deadlineMs: SLO_MS, beginnings: 'shared' });
    const { outcomes, ms, steps, loads, evictions, preemptions, decisionMs } = result;
    const finished = outcomes.filter(({ end }) => end === 'finished').length;
    const firstTokens = outcomes.flatMap(({ arrival, firstToken }) => (firstToken === undefined ? [] : [firstToken - arrival]));
    const name = (what: string): string => `scale/${adapters} adapters: ${what}`;
    return [
      { name: name('throughput'), value: (1000 * finished) / ms, unit: 'requests/s', steps, preemptions },
      { name: name('attainment'), value: attainment(result), unit: 'share', 'first token p50 ms': median(firstTokens) },
      { name: name('loads'), value: loads, unit: 'loads', evictions },
      { name: name('decisions'), value: median(decisionMs), unit: 'ms/step', p99: quantile(decisionMs, 0.99) },
    ];
  });
}
