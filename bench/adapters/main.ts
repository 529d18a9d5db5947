import { openGpu } from '../engine/frontdesk.ts';
import { checkPairs, describeGpu, runParts, type Parts } from '../parts.ts';
import { readOptions, report } from '../report.ts';
import { gapsDuringLoads } from './gaps.ts';
import { leaks } from './leaks.ts';
import { firstUseInNode } from './node.ts';
import { scale, SIZES } from './scale.ts';

/**
 * `--only first-use,chromium`: these parts; `--pairs N`: rounds behind each ratio, at least 7 for a gate to mean anything;
 * `--requests N` and `--adapters 5,10000`: of the runs of `scale`; `--loads N`: of `leaks`; `--hardware`.
 */
export async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args, {
    only: 'first-use,chromium,gaps,scale,leaks',
    pairs: 9,
    requests: 400,
    adapters: SIZES.join(),
    loads: 10_000,
    hardware: false,
  });
  checkPairs(options.pairs);
  const gpu = await openGpu(options.hardware ? 'hardware' : 'software');
  const parts: Parts = {
    'first-use': () => firstUseInNode(gpu, options.pairs),
    // a browser and a server are started for it alone
    chromium: async () => (await import('./chromium.ts')).firstUseInChromium(options.pairs),
    gaps: () => gapsDuringLoads(gpu, options.pairs),
    scale: () => scale(gpu, { ...options, adapters: options.adapters.split(',').map(Number) }),
    leaks: () => leaks(gpu, options.loads),
  };
  report('adapters', await describeGpu(gpu), await runParts(parts, options.only), options);
}
