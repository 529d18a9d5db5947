/** Where something works, for the digest. */
export interface DigestPlace {
  /** -1: outside of the layers. */
  readonly layer: number;
  /** Name inside a layer (`self_attn.q_proj`), or the whole name. */
  readonly module: string;
}

/** What one low-rank pair computes with, for the digest. */
export interface DigestPair extends DigestPlace {
  readonly scale: number;
  readonly a: DigestTensor;
  readonly b: DigestTensor;
}

export interface DigestTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** SHA-256 of the tensor's bytes as stored; see `sha256`. Of a large tensor the hashes of its slices. */
  readonly sha256: string | readonly string[];
}

/** A vector or a matrix that takes the place of the base's. */
export interface DigestOther extends DigestPlace {
  readonly kind: 'magnitude' | 'bias' | 'norm' | 'whole';
  /** What is added to its numbers. */
  readonly offset: number;
  readonly tensor: DigestTensor;
}

/** SHA-256 in hexadecimal. Needs Web Crypto, which pages have where they have WebGPU: in secure contexts. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * The identity of an adapter: SHA-256 over canonical JSON of its pairs and of what else it holds, sorted by layer and module, each with
 * number types, shapes, the scale, and the SHA-256 of its bytes. (Web Crypto hashes no streams; hashes of parts keep one layer in memory
 * at a time.) What has no part in the result: names of files and tensors, the order of tensors in a file and of keys in a config, whether
 * layers are fused, and every setting that does not change the scale.
 */
export async function digestParts(pairs: readonly DigestPair[], others: readonly DigestOther[]): Promise<string> {
  const tensor = ({ dtype, shape, sha256: hash }: DigestTensor): unknown[] => [dtype, shape, hash];
  const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  const byPlace = (a: DigestPlace, b: DigestPlace): number => a.layer - b.layer || byName(a.module, b.module);
  const rows = [...pairs].sort(byPlace).map(({ layer, module, scale, a, b }) => [layer, module, scale, tensor(a), tensor(b)]);
  const rest = [...others].sort((a, b) => byPlace(a, b) || byName(a.kind, b.kind));
  const otherRows = rest.map(({ layer, module, kind, offset, tensor: of }) => [layer, module, kind, offset, tensor(of)]);
  // what holds nothing else keeps the name that it had before others could
  const all = others.length > 0 ? ['lora', rows, otherRows] : ['lora', rows];
  return sha256(new TextEncoder().encode(JSON.stringify(all)));
}
