import type { Folder } from '../../src/formats/folder.ts';
import type { Site, SiteTable } from '../../src/adapters/sites.ts';

/** A folder in memory, with the same contract as one on disk. */
export function memoryFolder(files: Readonly<Record<string, Uint8Array<ArrayBuffer> | string | object>>): Folder {
  const bytes = new Map(
    Object.entries(files).map(([name, content]) => {
      if (content instanceof Uint8Array) return [name, content];
      return [name, new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content))];
    }),
  );
  return {
    location: 'memory',
    async size(name) {
      return bytes.get(name)?.length;
    },
    async read(name, start, end) {
      const file = bytes.get(name);
      if (!file || end > file.length || end < start) throw new Error(`bad read of ${name}: ${start} to ${end}`);
      return file.slice(start, end);
    },
  };
}

export interface TestTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Default F32. */
  readonly dtype?: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** An F32 tensor; `value` gives its numbers by index. */
export function tensor(name: string, shape: readonly number[], value: (index: number) => number = (i) => i): TestTensor {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i));
  return { name, shape, bytes: new Uint8Array(values.buffer) };
}

/** A file with any header over any data. */
export function withHeader(header: string, data: Uint8Array = new Uint8Array(0)): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

/** A valid safetensors file of these tensors, in this order. */
export function safetensors(tensors: readonly TestTensor[]): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let at = 0;
  for (const { name, shape, dtype = 'F32', bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  const data = new Uint8Array(at);
  at = 0;
  for (const { bytes } of tensors) {
    data.set(bytes, at);
    at += bytes.length;
  }
  return withHeader(JSON.stringify(header), data);
}

/** A model of these linear layers without biases, two norms a layer, and a vocabulary of 16; hidden size 8. */
export function tableOf(sites: readonly Omit<Site, 'bias'>[], more: Partial<SiteTable> = {}): SiteTable {
  const outside = { outStart: 0, bias: 'no' } as const;
  return {
    prefix: 'model.layers.',
    layers: 2,
    sites: sites.map((site) => ({ ...site, bias: 'no' })),
    norms: ['input_layernorm', 'post_attention_layernorm'].map((module) => ({ module, width: 8 })),
    finalNorm: { module: 'model.norm', width: 8 },
    outer: [
      { module: 'model.embed_tokens', inWidth: 16, outWidth: 8, ...outside },
      { module: 'lm_head', inWidth: 8, outWidth: 16, ...outside },
    ],
    fused: 'no',
    tied: 'no',
    normOffset: 0,
    ...more,
  };
}

/** Two layers, q and v of 8 → 8 and 8 → 4, o of 8 → 8. */
export const TABLE: SiteTable = tableOf([
  { module: 'self_attn.q_proj', inWidth: 8, outWidth: 8, outStart: 0 },
  { module: 'self_attn.v_proj', inWidth: 8, outWidth: 4, outStart: 8 },
  { module: 'self_attn.o_proj', inWidth: 8, outWidth: 8, outStart: 0 },
]);

/** A and B of one module of `TABLE`. */
export function pair(layer: number, module: string, rank: number, value?: (index: number) => number): TestTensor[] {
  const { inWidth, outWidth } = TABLE.sites.find((site) => site.module === module)!;
  const name = `base_model.model.model.layers.${layer}.${module}`;
  return [tensor(`${name}.lora_A.weight`, [rank, inWidth], value), tensor(`${name}.lora_B.weight`, [outWidth, rank], value)];
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The `code` of the error that a call ends in, or undefined. Errors that are not ours are thrown on. */
export async function codeOf(call: () => unknown): Promise<string | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    if (error instanceof Error && error.name === 'WebLoraError' && 'code' in error) return String(error.code);
    throw error;
  }
}
