import type { GpuProvider } from 'weblora';
import { gate, readOptions, report, type Row } from '../report.ts';
import { dispatches } from './dispatches.ts';
import { openGpu } from './frontdesk.ts';
import { prefix } from './prefix.ts';
import { batchedStep } from './step.ts';
import { streams } from './streams.ts';

/** Parts of this bench, in their order; each opens an engine of its own. */
const PARTS: Readonly<Record<string, (gpu: GpuProvider, pairs: number) => Promise<Row[]>>> = {
  dispatches,
  step: batchedStep,
  streams,
  prefix,
};

/** `--only step,streams`: these parts; `--pairs N`: pairs behind each timed gate, at least 7 for a gate to mean anything; `--hardware`. */
export async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args, { only: Object.keys(PARTS).join(), pairs: 7, hardware: false });
  const names = options.only.split(',');
  const unknown = names.filter((name) => PARTS[name] === undefined);
  if (unknown.length > 0) throw new TypeError(`--only knows ${Object.keys(PARTS).join(', ')}, not ${unknown.join(', ')}`);
  if (!Number.isInteger(options.pairs) || options.pairs < 1)
    throw new TypeError(`--pairs is ${options.pairs}; it must be an integer of at least 1`);
  const gpu = await openGpu(options.hardware ? 'hardware' : 'software');
  const rows: Row[] = [];
  for (const name of names) {
    const began = performance.now();
    try {
      rows.push(...(await PARTS[name]!(gpu, options.pairs)));
    } catch (error) {
      console.error(error);
      rows.push(
        gate({ name: `${name}/failed`, value: 1, unit: 'parts', note: error instanceof Error ? error.message : String(error) }, '= 0'),
      );
    }
    console.error(`${name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }
  report('engine', await describe(gpu), rows, options);
}

async function describe(gpu: GpuProvider): Promise<string> {
  const adapter = (await gpu.requestAdapter()) as GPUAdapter | null;
  const { vendor = '', architecture = '', description = '' } = adapter?.info ?? {};
  return [vendor, architecture, description].filter((word) => word !== '').join(' ');
}
