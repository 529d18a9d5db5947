/** What one low-rank pair computes with, for the digest. */
export interface DigestPair {
  readonly layer: number;
  /** Name inside a layer: `self_attn.q_proj`. */
  readonly module: string;
  readonly scale: number;
  readonly a: DigestTensor;
  readonly b: DigestTensor;
}

export interface DigestTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** SHA-256 of the tensor's bytes as stored; see `sha256`. */
  readonly sha256: string;
}

/** SHA-256 in hexadecimal. Needs Web Crypto, which pages have where they have WebGPU: in secure contexts. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * The identity of an adapter: SHA-256 over canonical JSON of its pairs, sorted by layer and module, each with number types, shapes, the
 * scale, and the SHA-256 of its bytes. (Web Crypto hashes no streams; hashes of parts keep one layer in memory at a time.) What has no
 * part in the result: names of files, the order of tensors in a file and of keys in a config, and every setting that does not change
 * the scale.
 */
export async function digestPairs(pairs: readonly DigestPair[]): Promise<string> {
  const tensor = ({ dtype, shape, sha256: hash }: DigestTensor): unknown[] => [dtype, shape, hash];
  const byPlace = (a: DigestPair, b: DigestPair): number => a.layer - b.layer || (a.module < b.module ? -1 : a.module > b.module ? 1 : 0);
  const rows = [...pairs].sort(byPlace).map(({ layer, module, scale, a, b }) => [layer, module, scale, tensor(a), tensor(b)]);
  return sha256(new TextEncoder().encode(JSON.stringify(['lora', rows])));
}
