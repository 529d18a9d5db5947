import { profile, type GpuProvider, type ProfiledStep } from 'weblora';
import { ADAPTERS } from './adapter-names.ts';
import { gate, type Row } from './report.ts';

const ROWS = 8;
const PROMPT = 256;
const LAYERS = 8;
/** Of a layer: five of the base's that compute and four matmuls, and two for the adapters of each group. The goal is 12. */
const MOST_DISPATCHES = 17;

/**
 * A decode step of the small model under eight adapters and a prompt's chunk, taken apart as `weblora doctor --profile` does, in its own
 * number of rounds, and again for A/A.
 *
 * @param folder the model's: `base`, and `adapters` by their names.
 */
export async function stepRows(provider: GpuProvider, folder: string): Promise<Row[]> {
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
  const outside = step.kernels.filter(({ kernel, part }) => part === 'head' || /^(embed|sample-)/.test(kernel));
  const perLayer = Math.floor((step.launches - outside.reduce((sum, { dispatches }) => sum + dispatches, 0)) / LAYERS);
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
    gate({ name: `${name}: dispatches per layer`, value: perLayer, unit: 'dispatches', note: 'goal: 12' }, `<= ${MOST_DISPATCHES}`),
    { name: `${name}: step of step (A/A)`, value: again.stepMs / stepMs, unit: 'ratio' },
    gate({ name: `${name}: step of floors`, value: step.stepOfFloors, unit: 'ratio', again: again.stepOfFloors }, '<= 1.4'),
  ];
}
