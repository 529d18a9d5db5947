import { specialise, WORKGROUP_SIZE, type Kernel } from '../../src/gpu/kernel.ts';
import type { Harness, Launch, Words } from './kernel-harness.ts';
import { check } from './suite.ts';

/** What one dispatch costs whatever the device, by its text and by what its loops did. */
export interface Costs {
  readonly workgroups: number;
  /** Barriers that each workgroup came to, on average. */
  readonly barriers: number;
  /** Bytes that invocations loaded from and stored to storage buffers. */
  readonly loaded: number;
  readonly stored: number;
  /** Bytes of workgroup memory. */
  readonly shared: number;
  readonly bindings: number;
}

const COUNTER = (binding: number): string =>
  `@group(0) @binding(${binding}) var<storage, read_write> tallies: array<atomic<u32>>;
fn tally(at: u32, index: u32) -> u32 { atomicAdd(&tallies[at], 1u); return index; }`;

/** Runs a launch with every access to a buffer and every barrier counted by the shader itself. */
export async function costsOf<Binding extends string>(harness: Harness, launch: Launch<Binding>): Promise<Costs> {
  const { kernel, libraries, constants } = launch;
  const names = Object.keys(kernel.buffers);
  const barriersAt = 2 * names.length;
  const counted = (text: string): string =>
    names
      .reduce((done, name, i) => countAccesses(done, name, 2 * i), withoutComments(text))
      .replaceAll('workgroupBarrier();', `workgroupBarrier(); atomicAdd(&tallies[${barriersAt}u], 1u);`);
  const counting: Kernel<string> = {
    ...(kernel as Kernel<string>),
    label: `${kernel.label}, counted`,
    source: counted(kernel.source),
    ownLibraries: [...(kernel.ownLibraries ?? []).map(counted), COUNTER(names.length)],
    buffers: { ...kernel.buffers, tallies: 'read_write' },
  };
  const { tallies } = await harness.run<string>({
    ...launch,
    kernel: counting,
    libraries: libraries.map(counted),
    buffers: { ...launch.buffers, tallies: new Uint32Array(barriersAt + 1) },
  });
  const text = withoutComments(specialise(kernel, { constants, libraries }));
  const size = kernel.workgroupSize ?? WORKGROUP_SIZE;
  const workgroups = Math.ceil(launch.threads / size);
  const bytes = (offset: 0 | 1): number =>
    names.reduce((sum, name, i) => sum + tallies![2 * i + offset]! * bytesOf(text, storedType(text, name)), 0);
  const barriers = tallies![barriersAt]! / size / workgroups;
  return { workgroups, barriers, loaded: bytes(0), stored: bytes(1), shared: sharedBytes(text), bindings: names.length };
}

const withoutComments = (text: string): string => text.replace(/\/\/.*$/gm, '');

/** `name[index]` with its index led through `tally`: number `at` counts loads, the one behind it stores; `+=` is both. */
function countAccesses(text: string, name: string, at: number): string {
  const pattern = new RegExp(`\\b${name}\\[`, 'g');
  let done = '';
  let from = 0;
  for (let found = pattern.exec(text); found; found = pattern.exec(text)) {
    const first = found.index + found[0].length;
    const end = closing(text, first);
    const assigned = /^\s*([-+*/])?=(?!=)/.exec(text.slice(end + 1));
    const index = text.slice(first, end);
    const stores = assigned ? `tally(${at + 1}u, ${index})` : index;
    const loads = assigned && assigned[1] === undefined ? stores : `tally(${at}u, ${stores})`;
    done += text.slice(from, first) + loads;
    from = end;
    pattern.lastIndex = end;
  }
  return done + text.slice(from);
}

/** Where the bracket ends whose content starts at `first`. An index that indexes the same buffer would not be counted. */
function closing(text: string, first: number): number {
  let depth = 1;
  for (let i = first; i < text.length; i++) {
    if (text[i] === '[') depth++;
    if (text[i] === ']' && --depth === 0) return i;
  }
  throw new Error('A bracket is not closed');
}

function storedType(text: string, name: string): string {
  const found = new RegExp(`var<storage, \\w+>\\s*${name}:\\s*array<([\\w<>]+)>`).exec(text);
  check(found !== null, () => `${name} is declared by no text`);
  return found[1]!;
}

function bytesOf(text: string, type: string): number {
  const alias = new RegExp(`alias ${type} = ([^;]+);`).exec(text)?.[1];
  if (alias !== undefined) return bytesOf(text, alias);
  const bytes: Readonly<Record<string, number>> = {
    u32: 4,
    f32: 4,
    'atomic<u32>': 4,
    vec2u: 8,
    vec2f: 8,
    vec4f: 16,
    vec4u: 16,
    'vec4<f16>': 8,
  };
  check(type in bytes, () => `nobody knows how large ${type} is`);
  return bytes[type]!;
}

/** Bytes of all `var<workgroup>`, array lengths computed from the constants of the text. */
function sharedBytes(text: string): number {
  let sum = 0;
  for (const [, array, element, length, single] of text.matchAll(/var<workgroup>\s*\w+:\s*(?:(array)<(.+), ([^,>]+)>|(\w+));/g)) {
    sum += array ? bytesOf(text, element!) * Number(evaluate(text, length!)) : bytesOf(text, single!);
  }
  return sum;
}

/** A constant expression of u32, with WGSL's division. */
function evaluate(text: string, expression: string): bigint {
  const names = [...new Set(expression.match(/\b[A-Z]\w*\b/g) ?? [])];
  const values = names.map((name) => {
    const found = new RegExp(`const ${name} = ([^;]+);`).exec(text);
    check(found !== null, () => `${name} is no constant`);
    return evaluate(text, found[1]!);
  });
  const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
  const most = (a: bigint, b: bigint): bigint => (a > b ? a : b);
  const body = expression.replace(/\b(\d+)u?\b/g, '$1n');
  return new Function('min', 'max', ...names, `return ${body};`)(least, most, ...values) as bigint;
}

/** Words of zeros: costs do not depend on what is computed. */
export const zeros = (words: number): Words => new Uint32Array(words);
