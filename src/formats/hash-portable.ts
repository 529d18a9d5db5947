import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';

/** A hash in JavaScript alone, see `Hash`. */
export function createHash(kind: 'sha256' | 'sha1'): { update(bytes: Uint8Array): void; hex(): string } {
  const hash = (kind === 'sha1' ? sha1 : sha256).create();
  return { update: (bytes) => void hash.update(bytes), hex: () => hexOf(hash.digest()) };
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
