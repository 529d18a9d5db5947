import { loadPart } from '../errors.ts';
import type { GgufBlockType } from './gguf-types.ts';
import type { FloatDtype } from './half.ts';
import type { SliceMemory } from './slice-memory.ts';

/** What wasm/slices.ts exports. */
interface Exports extends WebAssembly.Exports {
  readonly memory: WebAssembly.Memory;
  readonly repack: (type: number, from: number, blocks: number, values: number, scales: number, parts: number, high: number) => number;
  readonly firstNotFinite: (type: number, at: number, count: number) => number;
}

/** Places in these lists are what wasm/slices.ts knows types by. */
const FLOATS: readonly FloatDtype[] = ['F32', 'F16', 'BF16'];
const BLOCKS: readonly GgufBlockType[] = [
  'Q4_0',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q8_0',
  'Q2_K',
  'Q3_K',
  'Q4_K',
  'Q5_K',
  'Q6_K',
  'IQ4_NL',
  'IQ4_XS',
];

const PAGE = 65_536;

/** Undefined where there is no WebAssembly with SIMD, or a page's security policy forbids it. */
async function compiled(): Promise<Exports | undefined> {
  const { MODULE } = await loadPart(() => import('./slices-wasm.ts'));
  try {
    const bytes = Uint8Array.from(atob(MODULE), (letter) => letter.charCodeAt(0));
    const { instance } = await WebAssembly.instantiate(bytes);
    return instance.exports as Exports;
  } catch {
    return undefined;
  }
}

const found = (index: number): number | undefined => (index < 0 ? undefined : index);

function compiledMemory({ memory, repack, firstNotFinite }: Exports): SliceMemory {
  return {
    bytes: (length) => {
      const missing = length - memory.buffer.byteLength;
      if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
      return new Uint8Array(memory.buffer, 0, length);
    },
    firstNotFinite: (dtype, at, count) => found(firstNotFinite(FLOATS.indexOf(dtype), at, count)),
    repack: (type, from, blocks, { values, scales, parts, high }) =>
      found(repack(BLOCKS.indexOf(type), from, blocks, values, scales, parts, high)),
  };
}

/** Throws what `loadPart` throws. */
export async function openSliceMemory(): Promise<SliceMemory> {
  const exports = await compiled();
  if (exports) return compiledMemory(exports);
  const { plainSliceMemory } = await loadPart(() => import('./slice-memory-plain.ts'));
  return plainSliceMemory();
}
