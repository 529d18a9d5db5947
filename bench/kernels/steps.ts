import { profile, type ProfiledStep } from 'weblora';
import { ADAPTERS } from '../adapter-names.ts';
import { gate, type Row } from '../report.ts';
import type { Bench } from './measure.ts';

const ROWS = 8;
const PROMPT = 256;

/** A decode step under eight adapters and a prompt's chunk, taken apart as `weblora doctor --profile` does, twice. */
export async function stepRows({ provider, folder }: Bench): Promise<Row[]> {
  const take = () =>
    profile({
      gpu: provider,
      model: `${folder}/base`,
      adapters: ADAPTERS.map((name) => `${folder}/adapters/${name}`),
      rows: ROWS,
      promptRows: PROMPT,
    });
  const [first, again] = [await take(), await take()];
  return first.steps.flatMap((step, i) => rowsOf(step, again.steps[i]!));
}

function rowsOf(step: ProfiledStep, again: ProfiledStep): Row[] {
  const name = `steps/${step.step} of ${step.rows}`;
  const { launches, launchesMs, kernelsMs, floorsMs, gapsMs, stepMs, stepLeastMs, stepMostMs } = step;
  return [
    ...step.kernels.map(({ kernel, part, ms, floorMs, dispatches, gflops, gigabytesPerSecond }): Row => ({
      name: `${name}: kernel ${kernel}${part === undefined ? '' : `, ${part}`}`,
      value: ms,
      unit: 'ms',
      floor: floorMs,
      dispatches,
      gflops,
      gbps: gigabytesPerSecond,
    })),
    { name: `${name}: floors`, value: floorsMs, unit: 'ms', launches: launchesMs, dispatches: launches },
    { name: `${name}: kernels beyond their floors`, value: kernelsMs - floorsMs, unit: 'ms' },
    { name: `${name}: gaps`, value: gapsMs, unit: 'ms' },
    { name: `${name}: step`, value: stepMs, unit: 'ms', least: stepLeastMs, most: stepMostMs },
    { name: `${name}: step of step (A/A)`, value: again.stepMs / stepMs, unit: 'ratio' },
    gate({ name: `${name}: step of floors`, value: step.stepOfFloors, unit: 'ratio', again: again.stepOfFloors }, '<= 1.4'),
  ];
}
