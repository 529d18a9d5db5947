/** What a linear layer of the small model is called, and its widths: public/models/frontdesk/base/config.json. */
const LINEARS: readonly (readonly [module: string, inWidth: number, outWidth: number])[] = [
  ['mlp.down_proj', 704, 256],
  ['mlp.gate_proj', 256, 704],
  ['mlp.up_proj', 256, 704],
  ['self_attn.k_proj', 256, 128],
  ['self_attn.o_proj', 256, 256],
  ['self_attn.q_proj', 256, 256],
  ['self_attn.v_proj', 256, 128],
];
const LAYERS = 8;

/** Float16 exponents of 2⁻⁴ and 2⁻⁹: what an adapter adds is small beside the base's own. */
const EXPONENTS = { A: 11 << 10, B: 6 << 10 } as const;

/** Files of a PEFT folder, by name. */
export type AdapterFiles = Readonly<Record<string, Uint8Array<ArrayBuffer>>>;

/** An adapter on every linear layer of the small model, in float16, as PEFT saves it; the same bytes for the same rank and seed. */
export function generateAdapter(rank: number, seed: number): AdapterFiles {
  const modules = LINEARS.map(([module]) => module.split('.')[1]);
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: rank,
    lora_alpha: rank,
    lora_dropout: 0,
    bias: 'none',
    target_modules: modules,
  };
  return { 'adapter_config.json': new TextEncoder().encode(JSON.stringify(config)), 'adapter_model.safetensors': tensors(rank, seed) };
}

function tensors(rank: number, seed: number): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  const exponents: { readonly count: number; readonly exponent: number }[] = [];
  let end = 0;
  const add = (name: string, shape: readonly [number, number], exponent: number): void => {
    const count = shape[0] * shape[1];
    header[name] = { dtype: 'F16', shape, data_offsets: [end, end + count * 2] };
    end += count * 2;
    exponents.push({ count, exponent });
  };
  for (let layer = 0; layer < LAYERS; layer++) {
    for (const [module, inWidth, outWidth] of LINEARS) {
      const name = `base_model.model.model.layers.${layer}.${module}`;
      add(`${name}.lora_A.weight`, [rank, inWidth], EXPONENTS.A);
      add(`${name}.lora_B.weight`, [outWidth, rank], EXPONENTS.B);
    }
  }
  const text = JSON.stringify(header);
  const head = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const file = new Uint8Array(8 + head.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(head.length), true);
  file.set(head, 8);
  draw(new Uint16Array(file.buffer, 8 + head.length), exponents, seed);
  return file;
}

/** Signs and fractions by xorshift32 (Marsaglia, 2003). */
function draw(values: Uint16Array, tensors: readonly { readonly count: number; readonly exponent: number }[], seed: number): void {
  let state = Math.imul(seed + 1, 0x9e37_79b1) || 1;
  let at = 0;
  for (const { count, exponent } of tensors) {
    for (const end = at + count; at < end; at++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      values[at] = (state & 0x83ff) | exponent;
    }
  }
}
