/** Weights of a block and its bytes, for every type that is served. A row is a whole number of blocks. */
const BLOCKS = {
  F32: { weights: 1, bytes: 4 },
  F16: { weights: 1, bytes: 2 },
  BF16: { weights: 1, bytes: 2 },
  Q4_0: { weights: 32, bytes: 18 },
  Q4_1: { weights: 32, bytes: 20 },
  Q5_0: { weights: 32, bytes: 22 },
  Q5_1: { weights: 32, bytes: 24 },
  Q8_0: { weights: 32, bytes: 34 },
  Q2_K: { weights: 256, bytes: 84 },
  Q3_K: { weights: 256, bytes: 110 },
  Q4_K: { weights: 256, bytes: 144 },
  Q5_K: { weights: 256, bytes: 176 },
  Q6_K: { weights: 256, bytes: 210 },
  IQ4_NL: { weights: 32, bytes: 18 },
  IQ4_XS: { weights: 256, bytes: 136 },
} as const;

/** Types of tensors that are served, named as in ggml. */
export type GgufType = keyof typeof BLOCKS;

/** The types whose weights come in blocks with scales. */
export type GgufBlockType = Exclude<GgufType, 'F32' | 'F16' | 'BF16'>;

/** How many weights a block of each type holds, and in how many bytes. */
export const GGUF_BLOCKS: Readonly<Record<GgufType, { readonly weights: number; readonly bytes: number }>> = BLOCKS;

/** Names by ggml's number: those above, those not served, and those that ggml gave up. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'F32'],
  [1, 'F16'],
  [2, 'Q4_0'],
  [3, 'Q4_1'],
  [4, 'Q4_2'],
  [5, 'Q4_3'],
  [6, 'Q5_0'],
  [7, 'Q5_1'],
  [8, 'Q8_0'],
  [9, 'Q8_1'],
  [10, 'Q2_K'],
  [11, 'Q3_K'],
  [12, 'Q4_K'],
  [13, 'Q5_K'],
  [14, 'Q6_K'],
  [15, 'Q8_K'],
  [16, 'IQ2_XXS'],
  [17, 'IQ2_XS'],
  [18, 'IQ3_XXS'],
  [19, 'IQ1_S'],
  [20, 'IQ4_NL'],
  [21, 'IQ3_S'],
  [22, 'IQ2_S'],
  [23, 'IQ4_XS'],
  [24, 'I8'],
  [25, 'I16'],
  [26, 'I32'],
  [27, 'I64'],
  [28, 'F64'],
  [29, 'IQ1_M'],
  [30, 'BF16'],
  [31, 'Q4_0_4_4'],
  [32, 'Q4_0_4_8'],
  [33, 'Q4_0_8_8'],
  [34, 'TQ1_0'],
  [35, 'TQ2_0'],
  [36, 'IQ4_NL_4_4'],
  [37, 'IQ4_NL_4_8'],
  [38, 'IQ4_NL_8_8'],
  [39, 'MXFP4'],
  [40, 'NVFP4'],
  [41, 'Q1_0'],
]);

function isServed(name: string): name is GgufType {
  return Object.hasOwn(BLOCKS, name);
}

/** The type of ggml's number; where it is not served, `unserved` is its name, or the number where it is unknown. */
export function ggufTypeOf(number: number): { readonly type: GgufType } | { readonly unserved: string } {
  const name = NAMES.get(number);
  if (name === undefined) return { unserved: `of the unknown number ${number}` };
  return isServed(name) ? { type: name } : { unserved: name };
}

/** True for types whose weights come in blocks with scales. */
export function isGgufBlockType(type: GgufType): type is GgufBlockType {
  return GGUF_BLOCKS[type].weights > 1;
}
