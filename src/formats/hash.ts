import { loadPart } from '../errors.ts';

/** The hashes by which the hub names files. */
export type HashKind = 'sha256' | 'sha1';

/** A hash that is computed while bytes come. */
export interface Hash {
  update(bytes: Uint8Array<ArrayBuffer>): void;
  /** The end: lower-case hexadecimal digits. */
  hex(): string;
}

/** Begins a hash. */
export type HashMaker = (kind: HashKind) => Hash | Promise<Hash>;

/** The runtime's own hashes in Node and Deno, a library's elsewhere: Web Crypto hashes nothing in parts. */
export function anyHash(): HashMaker {
  return systemHash() ?? portableHash;
}

function systemHash(): HashMaker | undefined {
  const crypto = globalThis.process?.getBuiltinModule?.('node:crypto');
  return (
    crypto &&
    ((kind) => {
      const hash = crypto.createHash(kind);
      return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') };
    })
  );
}

/** A library's hashes, which need nothing of the runtime: no WebAssembly either, which many pages' policies refuse. */
export const portableHash: HashMaker = async (kind) => {
  const { createHash } = await loadPart(() => import('./hash-portable.ts'));
  return createHash(kind);
};
