import type { Hash, HashMaker } from './hash.ts';
import { unlessAborted } from './hub-turns.ts';
import type { HubFile } from './hub-list.ts';
import { pieceCount, pieceLength } from './hub-store.ts';
import type { HubPart } from './hub-store.ts';

/** The hash that a file must have. */
export interface FileHash {
  /** `sha256`: of the bytes; `git`: SHA-1 of `blob SIZE`, a zero byte and the bytes. */
  readonly kind: 'sha256' | 'git';
  /** Hexadecimal digits. */
  readonly hex: string;
}

/** The hash by which the hub knows a file's bytes. */
export function fileHash({ sha256, oid }: HubFile): FileHash {
  return sha256 === undefined ? { kind: 'git', hex: oid } : { kind: 'sha256', hex: sha256 };
}

/** A hash that keeps up with a part. */
export interface FollowedHash {
  /** To be called whenever a piece was kept. */
  readonly kept: () => void;
  /** Of all bytes, when all are kept. Throws what reading them throws, and the signal's reason. */
  readonly hex: Promise<string>;
}

/** Hashes a part's bytes in their order, as they come to be kept; what it hashes is read back, so it is what will be found later. */
export function followHash(part: HubPart, size: number, { kind }: FileHash, hashes: HashMaker, signal: AbortSignal): FollowedHash {
  let wake: () => void = () => undefined;
  const hex = async (): Promise<string> => {
    const hash: Hash = await hashes(kind === 'git' ? 'sha1' : 'sha256');
    if (kind === 'git') hash.update(new TextEncoder().encode(`blob ${size}\0`));
    for (let piece = 0; piece < pieceCount(size, part.pieceBytes); piece++) {
      while (!part.kept.has(piece)) await unlessAborted(new Promise<void>((resolve) => (wake = resolve)), signal);
      signal.throwIfAborted();
      const start = piece * part.pieceBytes;
      hash.update(await part.read(start, start + pieceLength(size, part.pieceBytes, piece)));
    }
    return hash.hex();
  };
  return { kept: () => wake(), hex: hex() };
}
