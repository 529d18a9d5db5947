/** How many adapters the Thousand view has, and what all of them are drawn from. */
export const THOUSAND = 1000;
export const SEED = 7;

/** What a linear layer of the base is called, and its widths. */
type Linear = readonly [module: string, inWidth: number, outWidth: number];

/** The base that they fit: public/models/frontdesk/base/config.json. */
const LAYERS = 8;
const ATTENTION: readonly Linear[] = [
  ['self_attn.k_proj', 256, 128],
  ['self_attn.o_proj', 256, 256],
  ['self_attn.q_proj', 256, 256],
  ['self_attn.v_proj', 256, 128],
];
const ALL: readonly Linear[] = [['mlp.down_proj', 704, 256], ['mlp.gate_proj', 256, 704], ['mlp.up_proj', 256, 704], ...ATTENTION];

/**
 * The exponent bits of all numbers of a matrix, in both halves of a word: only sign and fraction are drawn. A's numbers are from 1/16 to
 * 1/8 and B's from 1/512 to 1/256: every adapter computes something of its own, and the base's answers stay sentences.
 */
const A_BITS = 11 * 0x0400_0400;
const B_BITS = 6 * 0x0400_0400;
const DRAWN = 0x83ff_83ff;

/** An adapter of the thousand: what its folder would say of it. */
export interface Recipe {
  readonly rank: 4 | 8 | 16;
  /** `attention`: q, k, v and o; `all`: the MLP's three as well. */
  readonly targets: 'attention' | 'all';
}

/** The two files of an adapter as PEFT saves it. */
export type AdapterFiles = Readonly<Record<'adapter_config.json' | 'adapter_model.safetensors', Uint8Array<ArrayBuffer>>>;

/** `thousand-0042`. Throws RangeError for what is no number from 1 to 1,000. */
export function thousandId(number: number): string {
  if (!Number.isInteger(number) || number < 1 || number > THOUSAND) throw new RangeError(`No adapter of the thousand: ${number}`);
  return `thousand-${String(number).padStart(4, '0')}`;
}

/** The number in such an id; undefined for every other id. */
export function thousandNumber(id: string): number | undefined {
  const digits = /^thousand-(\d{4})$/.exec(id)?.[1];
  const number = Number(digits);
  return digits !== undefined && number >= 1 && number <= THOUSAND ? number : undefined;
}

/** Of each number its own state for xorshift32, which must not be 0. */
function stateOf(seed: number, number: number): number {
  let mixed = Math.imul(seed ^ 0x5bd1_e995, 0x85eb_ca6b) ^ Math.imul(number, 0x9e37_79b1);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0_aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
  return mixed ^ (mixed >>> 15) || 1;
}

/** Ranks 4, 8 and 16 alike; one in four changes every linear layer. The same for the same seed and number. */
export function recipeOf(seed: number, number: number): Recipe {
  const drawn = stateOf(seed, -number) >>> 0;
  return { rank: ([4, 8, 16] as const)[drawn % 3]!, targets: (drawn >>> 8) % 4 === 0 ? 'all' : 'attention' };
}

/** Makes an adapter's files: the same bytes for the same seed and number, everywhere. A few milliseconds for the largest. */
export function thousandFiles(seed: number, number: number): AdapterFiles {
  const { rank, targets } = recipeOf(seed, number);
  const modules = targets === 'all' ? ALL : ATTENTION;
  const config = {
    base_model_name_or_path: 'frontdesk',
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: rank,
    lora_alpha: rank,
    lora_dropout: 0,
    bias: 'none',
    target_modules: modules.map(([module]) => module.split('.').at(-1)),
  };
  return {
    'adapter_config.json': new TextEncoder().encode(JSON.stringify(config, undefined, 2)),
    'adapter_model.safetensors': tensorsOf(modules, rank, stateOf(seed, number)),
  };
}

/** The `resolve` of the page's worker: the files of an id of the thousand, made on demand; undefined for every other id. */
export function thousandSource(id: string): AdapterFiles | undefined {
  const number = thousandNumber(id);
  return number === undefined ? undefined : thousandFiles(SEED, number);
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
