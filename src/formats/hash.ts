/** The hashes by which the hub names files. */
export type HashKind = 'sha256' | 'sha1';

/** A hash that is computed while bytes come. */
export interface Hash {
  update(bytes: Uint8Array<ArrayBuffer>): void;
  /** The end: lower-case hexadecimal digits. */
  hex(): string | Promise<string>;
}

/** Begins a hash. */
export type HashMaker = (kind: HashKind) => Hash | Promise<Hash>;

/** What Web Crypto, which hashes nothing in parts, is given in one piece. */
const LARGEST_AT_ONCE = 64 << 20;

/** Node's own hashes, which Deno has too; undefined elsewhere. */
export function systemHash(): HashMaker | undefined {
  const crypto = globalThis.process?.getBuiltinModule?.('node:crypto');
  return (
    crypto &&
    ((kind) => {
      const hash = crypto.createHash(kind);
      return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') };
    })
  );
}

/**
 * Web Crypto's hashes for one file, which is kept in memory until its end.
 *
 * @param size bytes of the file. Throws `TypeError` for more than 64 MiB.
 */
export function webHashFor(size: number): HashMaker {
  if (size > LARGEST_AT_ONCE) {
    throw new TypeError(
      `This runtime hashes files of at most ${LARGEST_AT_ONCE} bytes by itself; for one of ${size} give the option hash.`,
    );
  }
  return (kind) => {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    return {
      update: (bytes) => void parts.push(bytes.slice()),
      hex: async () => {
        const whole = await new Blob(parts).arrayBuffer();
        return hexOf(new Uint8Array(await crypto.subtle.digest(kind === 'sha1' ? 'SHA-1' : 'SHA-256', whole)));
      },
    };
  };
}

/** Bytes as lower-case hexadecimal digits. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
