import { toF16 } from '../formats/half.ts';
import { planeLayout, type BlockType, type WeightType } from '../kernels/libraries.ts';
import { bitsOf, sixtyFourths, type Words } from './kernel-data.ts';

/** What the numbers of a type are made of: scale * s * (level - zero), and what there is of a minimum. */
interface Form {
  /** Bits of a level. */
  readonly low: 2 | 4 | 8;
  /** Those above them, which lie in a section of their own. */
  readonly high?: 1 | 2;
  readonly zero?: number;
  /** Numbers of a block; default 32. */
  readonly block?: 256;
  /** Numbers that share the integers s and t: two nibbles, two bytes, one byte less 32, or a signed one. */
  readonly part?: { readonly of: 16 | 32; readonly is: 'nibbles' | 'bytes' | 'less 32' | 'signed' };
  /** Scale and minimum in turn; times t it is taken away, without parts it is added. */
  readonly minimum?: true;
  readonly levels?: readonly number[];
}

const IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

const FORMS: Readonly<Record<BlockType, Form>> = {
  q8: { low: 8, zero: 128 },
  q4: { low: 4, zero: 8 },
  q4_1: { low: 4, minimum: true },
  q5_0: { low: 4, high: 1, zero: 16 },
  q5_1: { low: 4, high: 1, minimum: true },
  q2_k: { low: 2, block: 256, part: { of: 16, is: 'nibbles' }, minimum: true },
  q3_k: { low: 2, high: 1, zero: 4, block: 256, part: { of: 16, is: 'less 32' } },
  q4_k: { low: 4, block: 256, part: { of: 32, is: 'bytes' }, minimum: true },
  q5_k: { low: 4, high: 1, block: 256, part: { of: 32, is: 'bytes' }, minimum: true },
  q6_k: { low: 4, high: 2, zero: 32, block: 256, part: { of: 16, is: 'signed' } },
  iq4_nl: { low: 4, levels: IQ4 },
  iq4_xs: { low: 4, levels: IQ4, block: 256, part: { of: 32, is: 'less 32' } },
};

export interface KernelPlane {
  readonly words: Words;
  readonly values: Float32Array;
}

/** The next width that is whole blocks of the type. */
export function wholeBlocks(type: WeightType, width: number): number {
  const block = (type in FORMS && FORMS[type as BlockType].block) || 32;
  return Math.ceil(width / block) * block;
}

/** Bytes of a plane, and its numbers. `rows` is a multiple of 4, `width` of the type's blocks. */
export function planeOf(type: WeightType, rows: number, width: number): KernelPlane {
  const numbers = sixtyFourths(rows + width)(rows * width);
  if (type === 'f32') return { words: bitsOf(numbers), values: numbers };
  if (type === 'f16') return { words: new Uint32Array(toF16(numbers).buffer), values: numbers };
  if (type === 'bf16') return { words: new Uint32Array(Uint16Array.from(bitsOf(numbers), (word) => word >>> 16).buffer), values: numbers };
  return planeOfBlocks(type, numbers, rows, width);
}

/** The integers of part `i`, the bytes that hold them, and how many of each. */
function partOf(i: number, { part }: Form): { readonly s: number; readonly t: number; readonly held: readonly number[] } {
  const s = (37 * i + 11) % 64;
  const t = (29 * i + 7) % 64;
  if (!part) return { s: 1, t: -1, held: [] };
  if (part.is === 'nibbles') return { s: s & 15, t: t & 15, held: [(s & 15) | ((t & 15) << 4)] };
  if (part.is === 'bytes') return { s, t, held: [s, t] };
  return part.is === 'less 32' ? { s: s - 32, t: 0, held: [s] } : { s: s - 32, t: 0, held: [(s - 32) & 255] };
}

function planeOfBlocks(type: BlockType, numbers: Float32Array, rows: number, width: number): KernelPlane {
  const form = FORMS[type];
  const { low, high = 0, zero = 0, block = 32, part, minimum, levels } = form;
  const { bytes, sections } = planeLayout(type, rows, width);
  const plane = new Uint8Array(bytes);
  const [values, scales, third, last] = sections.map(({ offset }) => offset) as [number, number, number, number];
  const [parts, highs] = part ? [third, last] : [0, third];
  const floats = new Float32Array(plane.buffer, scales, (sections[1]!.rowBytes * rows) / 4);
  const found = new Float32Array(numbers.length);
  const put = (at: number, i: number, bits: number, value: number): void => {
    plane[at + ((i * bits) >> 3)]! |= value << ((i * bits) & 7);
  };
  for (const [i, number] of numbers.entries()) {
    const level = Math.floor(((number + 1) * (2 ** (low + high) - 0.5)) / 2);
    put(values, i, low, (low === 8 ? level ^ 128 : level) & (2 ** low - 1));
    if (high > 0) put(highs, i, high, level >> low);
    const at = Math.floor(i / block);
    const scale = 2 ** -((part ? 10 : levels ? 7 : 4) + (at % 3)); // neighbours differ
    const least = minimum ? ((at % 5) - 2) / (part ? 256 : 8) : 0;
    if (minimum) floats.set([scale, least], 2 * at);
    else floats[at] = scale;
    const inPart = part ? Math.floor(i / part.of) : 0;
    const { s, t, held } = partOf(inPart, form);
    for (const [k, byte] of held.entries()) plane[parts + inPart * held.length + k] = byte;
    found[i] = scale * s * (levels ? levels[level]! : level - zero) - least * t;
  }
  return { words: new Uint32Array(plane.buffer), values: found };
}
