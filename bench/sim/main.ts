import { readOptions, report, type Row } from '../report.ts';
import { abortRows } from './abort.ts';
import { fairnessRows } from './fairness.ts';
import { loadsRows } from './loads.ts';
import { scaleRows } from './scale.ts';
import { tiersRows } from './tiers.ts';
import { unifiedRows } from './unified.ts';

const PARTS: Readonly<Record<string, () => Row[]>> = {
  abort: abortRows,
  fairness: fairnessRows,
  loads: () => loadsRows({ places: 16, requests: 1200, seeds: [1, 2, 3] }),
  scale: scaleRows,
  tiers: tiersRows,
  unified: unifiedRows,
};

/** The engine's decisions on a device that is only a price list. `--only abort,loads`: these parts. */
export function main(args: readonly string[]): void {
  const options = readOptions(args, { only: Object.keys(PARTS).join() });
  const rows = options.only.split(',').flatMap((name) => {
    const part = PARTS[name];
    if (!part) throw new TypeError(`--only ${name}: the parts are ${Object.keys(PARTS).join(', ')}`);
    return part();
  });
  report('sim', 'cost model', rows, options);
}
