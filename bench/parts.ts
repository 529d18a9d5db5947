import type { GpuProvider } from 'weblora';
import { gate, type Row } from './report.ts';

/** What the parts of a bench are called, and what each gives. */
export type Parts = Readonly<Record<string, () => Promise<readonly Row[]>>>;

/**
 * Runs parts of a bench one after the other, and says on standard error how long each took. A part that throws is a row whose gate is not
 * held, and those behind it run all the same.
 *
 * @param only names joined by commas.
 * @throws TypeError for a name that no part has.
 */
export async function runParts(parts: Parts, only: string): Promise<Row[]> {
  const names = only.split(',');
  const unknown = names.filter((name) => parts[name] === undefined);
  if (unknown.length > 0) throw new TypeError(`--only knows ${Object.keys(parts).join(', ')}, not ${unknown.join(', ')}`);
  const rows: Row[] = [];
  for (const name of names) {
    const began = performance.now();
    try {
      rows.push(...(await parts[name]!()));
    } catch (error) {
      console.error(error);
      rows.push(
        gate({ name: `${name}/failed`, value: 1, unit: 'parts', note: error instanceof Error ? error.message : String(error) }, '= 0'),
      );
    }
    console.error(`${name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }
  return rows;
}

/** Throws `TypeError` for a number of pairs that cannot be measured. */
export function checkPairs(pairs: number): void {
  if (!Number.isInteger(pairs) || pairs < 1) throw new TypeError(`--pairs is ${pairs}; it must be an integer of at least 1`);
}

/** A device in words: vendor, architecture and description. */
export async function describeGpu(gpu: GpuProvider): Promise<string> {
  const adapter = (await gpu.requestAdapter()) as GPUAdapter | null;
  const { vendor = '', architecture = '', description = '' } = adapter?.info ?? {};
  return [vendor, architecture, description].filter((word) => word !== '').join(' ');
}
