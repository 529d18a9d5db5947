import { statSync } from 'node:fs';
import type { GpuProvider } from 'weblora';
import { openGpu } from '../engine/frontdesk.ts';
import { median, ratios } from '../pairs.ts';
import { checkPairs, describeGpu, runParts, type Parts } from '../parts.ts';
import { gate, readOptions, report, type Row } from '../report.ts';
import { warm, writeGguf, writeSafetensors, type Written } from './files.ts';
import { loadModel, loadRaw, type Loaded } from './load.ts';

const MIB = 1 << 20;

/** `--only safetensors,gguf`: these parts; `--pairs N`: rounds, at least 5 for a gate to mean anything; `--hardware`. */
export async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args, { only: 'safetensors,gguf', pairs: 5, hardware: false });
  checkPairs(options.pairs);
  const gpu = await openGpu(options.hardware ? 'hardware' : 'software');
  const parts: Parts = {
    safetensors: () => loading(gpu, 'safetensors', writeSafetensors(), options.pairs, '<= 1.5'),
    gguf: () => loading(gpu, 'gguf', writeGguf(), options.pairs, '<= 2.5'),
  };
  report('loading', await describeGpu(gpu), await runParts(parts, options.only), options);
}

async function loading(gpu: GpuProvider, kind: string, written: Written, pairs: number, wanted: string): Promise<Row[]> {
  warm(written.file);
  await loadRaw(gpu, written);
  await loadModel(gpu, written);
  const ours: Loaded[] = [];
  const raw: Loaded[] = [];
  for (let round = 0; round < pairs; round++) {
    // whoever comes second finds memory that the other gave back
    const order = round % 2 === 0 ? ['raw', 'ours'] : ['ours', 'raw'];
    for (const who of order) (who === 'raw' ? raw : ours).push(await (who === 'raw' ? loadRaw : loadModel)(gpu, written));
  }
  const { median: value, ...rest } = ratios(ours.map(({ ms }, i) => ({ of: ms, to: raw[i]!.ms })));
  const bytes = statSync(written.file).size;
  const speed = (all: readonly Loaded[]): Row['gbps'] => bytes / 1e6 / median(all.map(({ ms }) => ms));
  const peak = Math.max(...ours.map(({ peak: most }) => most)) / MIB;
  return [
    { name: `${kind}/raw`, value: median(raw.map(({ ms }) => ms)), unit: 'ms', bytes, gbps: speed(raw) },
    { name: `${kind}/loading`, value: median(ours.map(({ ms }) => ms)), unit: 'ms', bytes, gbps: speed(ours) },
    gate({ name: `${kind}/loading of raw`, value, unit: 'times', ...rest }, wanted),
    gate({ name: `${kind}/peak`, value: peak, unit: 'MiB above the start' }, '<= 128'),
  ];
}
