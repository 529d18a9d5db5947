import { checkPairs, describeGpu, runParts, type Parts } from '../parts.ts';
import { readOptions, report } from '../report.ts';
import { dispatches } from './dispatches.ts';
import { openGpu } from './frontdesk.ts';
import { prefix } from './prefix.ts';
import { profile } from './profile.ts';
import { quantized } from './quantized.ts';
import { batchedStep } from './step.ts';
import { streams } from './streams.ts';

/** Parts of this bench, in their order; each opens an engine of its own. */
const PARTS = { dispatches, step: batchedStep, streams, prefix, quantized, profile };

/** `--only step,streams`: these parts; `--pairs N`: pairs behind each timed gate, at least 7 for a gate to mean anything; `--hardware`. */
export async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args, { only: Object.keys(PARTS).join(), pairs: 7, hardware: false });
  checkPairs(options.pairs);
  const gpu = await openGpu(options.hardware ? 'hardware' : 'software');
  const parts: Parts = Object.fromEntries(Object.entries(PARTS).map(([name, run]) => [name, () => run(gpu, options.pairs)]));
  report('engine', await describeGpu(gpu), await runParts(parts, options.only), options);
}
