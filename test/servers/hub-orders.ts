/** What the hub's double is told over HTTP, by tests in any runtime. */
export interface HubRepository {
  readonly repository: string;
  /** The commit of `main` and of all other revisions that are asked for. */
  readonly commit: string;
  /** Bytes by name: so many from a seed, a file of the project by its path, or a text. All but texts are large files, which lie on the other host. */
  readonly files: Readonly<Record<string, { readonly size: number; readonly seed: number } | { readonly path: string } | string>>;
  /** Without this token the hub denies that the repository exists. */
  readonly token?: string;
  /** Entries a page of the list of files. */
  readonly pageSize?: number;
}

/** Something that goes wrong. */
export interface HubFault {
  /** Requests for the commit or the list, for a file at the hub, for a file at the other host. */
  readonly on: 'api' | 'resolve' | 'store';
  readonly repository: string;
  /**
   * `status`: an answer of that status. `cut`: the connection breaks after `after` bytes of the body. `wrong`: the last byte sent is another.
   * `whole`: ranges are ignored. `hang`: nothing comes after `after` bytes. `down`: no answer. `away`: a redirect to `to`. `expire`: 403, as for
   * all addresses that were given until then.
   */
  readonly kind: 'status' | 'cut' | 'wrong' | 'whole' | 'hang' | 'down' | 'away' | 'expire';
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly after?: number;
  readonly to?: string;
  /** How many requests meet it, after `skip` others; default all. */
  readonly times?: number;
  readonly skip?: number;
}

/** A request that came. */
export interface HubRequest {
  readonly host: 'hub' | 'store';
  readonly url: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  /** Bytes of the body that were sent. */
  readonly sent: number;
}

/** Bytes that everybody computes from a seed. */
export function seededBytes(size: number, seed: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
