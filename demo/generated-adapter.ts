/** What a linear layer of the small model is called, and its widths. */
export type Linear = readonly [module: string, inWidth: number, outWidth: number];

/** Decoder layers and linear layers of public/models/frontdesk/base/config.json. */
const LAYERS = 8;
export const ATTENTION: readonly Linear[] = [
  ['self_attn.k_proj', 256, 128],
  ['self_attn.o_proj', 256, 256],
  ['self_attn.q_proj', 256, 256],
  ['self_attn.v_proj', 256, 128],
];
export const ALL: readonly Linear[] = [['mlp.down_proj', 704, 256], ['mlp.gate_proj', 256, 704], ['mlp.up_proj', 256, 704], ...ATTENTION];

/**
 * The exponent bits of all numbers of a matrix, in both halves of a word: only sign and fraction are drawn. A's numbers are from 1/16 to
 * 1/8 and B's from 1/512 to 1/256: every adapter computes something of its own, and the base's answers stay sentences.
 */
const A_BITS = 11 * 0x0400_0400;
const B_BITS = 6 * 0x0400_0400;
const DRAWN = 0x83ff_83ff;

/** The two files of an adapter as PEFT saves it. */
export type AdapterFiles = Readonly<Record<'adapter_config.json' | 'adapter_model.safetensors', Uint8Array<ArrayBuffer>>>;

export interface Recipe {
  readonly modules: readonly Linear[];
  readonly rank: number;
  /** Default: the rank, so that nothing is scaled. */
  readonly alpha?: number;
  /** Of xorshift32: not 0. */
  readonly state: number;
}

/** Makes an adapter for the small model, in float16: the same bytes for the same recipe, everywhere. */
export function generateAdapter({ modules, rank, alpha = rank, state }: Recipe): AdapterFiles {
  const config = {
    base_model_name_or_path: 'frontdesk',
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    bias: 'none',
    target_modules: modules.map(([module]) => module.split('.').at(-1)),
  };
  return {
    'adapter_config.json': new TextEncoder().encode(JSON.stringify(config, undefined, 2)),
    'adapter_model.safetensors': tensorsOf(modules, rank, state),
  };
}

interface Tensor {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly bits: number;
}

function tensorsOf(modules: readonly Linear[], rank: number, seed: number): Uint8Array<ArrayBuffer> {
  const tensors = Array.from({ length: LAYERS }, (_, layer) =>
    modules.flatMap(([module, inWidth, outWidth]): Tensor[] => {
      const path = `base_model.model.model.layers.${layer}.${module}`;
      return [
        { name: `${path}.lora_A.weight`, shape: [rank, inWidth], bits: A_BITS },
        { name: `${path}.lora_B.weight`, shape: [outWidth, rank], bits: B_BITS },
      ];
    }),
  ).flat();
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let bytes = 0;
  for (const { name, shape } of tensors) {
    const size = shape[0] * shape[1] * 2;
    header[name] = { dtype: 'F16', shape, data_offsets: [bytes, bytes + size] };
    bytes += size;
  }
  const text = JSON.stringify(header);
  // Filled with spaces, as safetensors does it: the numbers behind begin at a multiple of eight.
  const head = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const file = new Uint8Array(8 + head.length + bytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(head.length), true);
  file.set(head, 8);
  draw(new Uint32Array(file.buffer, 8 + head.length), tensors, seed);
  return file;
}

/** Two float16 a word, drawn by xorshift32 (Marsaglia, 2003). */
function draw(words: Uint32Array<ArrayBuffer>, tensors: readonly Tensor[], seed: number): void {
  let state = seed;
  let at = 0;
  for (const { shape, bits } of tensors) {
    const end = at + (shape[0] * shape[1]) / 2;
    for (; at < end; at++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[at] = (state & DRAWN) | bits;
    }
  }
}
