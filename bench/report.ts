import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { version } from '../package.json';

/** One number that a bench found; what its name means stands in bench/README.md. */
export interface Row {
  readonly name: string;
  /** Undefined where it could not be measured; `note` says why. */
  readonly value: number | undefined;
  readonly unit: string;
  /** What the value has to be, as `<= 1.25`; see `gate`. */
  readonly gate?: string;
  /** Whether it is. */
  readonly held?: boolean;
  readonly note?: string;
  readonly [more: string]: number | string | boolean | undefined;
}

/** What every bench takes, and its own options: `--name VALUE`, or `--name` alone where the default is a boolean. */
export type Options<Own extends Readonly<Record<string, string | number | boolean>>> = { readonly [Name in keyof Own]: Own[Name] } & {
  readonly json: string | undefined;
};

/**
 * Reads a bench's options. `own` holds the default of each: its type is the option's type.
 * @throws TypeError for a name that is not there, or for a number that is none.
 */
export function readOptions<Own extends Readonly<Record<string, string | number | boolean>>>(
  args: readonly string[],
  own: Own,
): Options<Own> {
  const kinds = Object.entries(own).map(([name, value]) => [name, { type: typeof value === 'boolean' ? 'boolean' : 'string' }] as const);
  const { values } = parseArgs({ args: [...args], options: { ...Object.fromEntries(kinds), json: { type: 'string' } } });
  const given: Readonly<Record<string, string | boolean | undefined>> = values;
  const read: Record<string, unknown> = { json: given['json'] };
  for (const [name, fallback] of Object.entries(own)) {
    const value = given[name];
    read[name] = value === undefined ? fallback : typeof fallback === 'number' ? toNumber(name, String(value)) : value;
  }
  return read as Options<Own>;
}

function toNumber(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new TypeError(`--${name} is ${JSON.stringify(text)}; it must be a number`);
  return value;
}

const COMPARISONS: Readonly<Record<string, (value: number, bound: number) => boolean>> = {
  '<=': (value, bound) => value <= bound,
  '>=': (value, bound) => value >= bound,
  '=': (value, bound) => value === bound,
};

/** The row with what its value has to be: `<=`, `>=` or `=`, and a number. A value that could not be measured holds nothing. */
export function gate(row: Row, wanted: string): Row {
  const [comparison = '', bound = ''] = wanted.split(' ');
  const holds = COMPARISONS[comparison];
  if (!holds || !Number.isFinite(Number(bound || undefined))) throw new RangeError(`A gate is written as "<= 1.25", not "${wanted}"`);
  return { ...row, gate: wanted, held: row.value !== undefined && holds(row.value, Number(bound)) };
}

/**
 * Prints the rows as a table and, with `--json FILE`, writes `{ bench, version, device, runtime, rows }`. The process exits with 1 where
 * a gate is not held.
 */
export function report(bench: string, device: string, rows: readonly Row[], { json }: { readonly json: string | undefined }): void {
  const { process } = globalThis;
  const runtime = `Node ${process.versions.node}, ${process.platform} ${process.arch}`;
  console.log(`${bench}, WebLoRA ${version}, ${device}, ${runtime}\n`);
  console.log(table(rows));
  if (json !== undefined) {
    const plain = rows.map((row) => ({ ...row, value: row.value ?? null }));
    writeFileSync(json, `${JSON.stringify({ bench, version, device, runtime, rows: plain }, undefined, 2)}\n`);
  }
  const gates = rows.filter((row) => row.gate !== undefined);
  const lost = gates.filter((row) => row.held !== true);
  if (gates.length > 0) console.log(`\n${gates.length - lost.length} of ${gates.length} gates held`);
  if (lost.length > 0) process.exitCode = 1;
}

const KNOWN = ['name', 'value', 'unit', 'gate', 'held', 'note'];

function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.name,
    row.value === undefined ? '-' : figure(row.value),
    row.unit,
    row.gate === undefined ? '' : `${row.gate} ${row.held ? 'held' : 'NOT HELD'}`,
    [...more(row), row.note ?? ''].filter((text) => text !== '').join(', '),
  ]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(0, ...cells.map((line) => line[column]!.length)));
  return cells
    .map((line) =>
      line
        .map((text, i) => (i === 1 ? text.padStart(widths[i]!) : text.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function more(row: Row): string[] {
  return Object.entries(row)
    .filter(([name, value]) => !KNOWN.includes(name) && value !== undefined)
    .map(([name, value]) => `${name} ${typeof value === 'number' ? figure(value) : String(value)}`);
}

/** Four digits are more than a measured time is good for; counts are shown whole. */
const figure = (value: number): string => (Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4))));
