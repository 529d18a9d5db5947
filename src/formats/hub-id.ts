/** A model or an adapter on the hub. */
export interface HubId {
  /** `owner/name`. */
  readonly repository: string;
  /** A branch, a tag, a reference or a commit; undefined: the main branch. */
  readonly revision: string | undefined;
  /** The one .gguf of the repository that is meant; undefined: the repository as a whole. */
  readonly gguf: GgufChoice | undefined;
}

/** One .gguf among others: its name in the folder, or a tag that its name holds, as `Q4_K_M`. */
export type GgufChoice = { readonly file: string } | { readonly tag: string };

const PATTERN = /^([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:\/((?:[\w.+-]+\/)*[\w.+-]+\.gguf)|:([\w.-]+))?(?:@(.+))?$/i;
/** What git refuses in a reference; `..` would also leave the place in an address where the revision belongs. */
const NO_REVISION = /[\0-\x20\x7f~^:?*[\\]|\.\.|^[./]|[./]$|\/\//;

/**
 * The parts of `owner/name`, `owner/name/file.gguf` or `owner/name:TAG`, each with or without `@revision` behind it, or undefined for
 * another text. A revision may hold slashes. `folder/file.gguf` is no hub id but a path: the hub knows no models of one word.
 */
export function parseHubId(text: string): HubId | undefined {
  const [, repository, file, tag, revision] = PATTERN.exec(text) ?? [];
  if (repository === undefined || (revision !== undefined && NO_REVISION.test(revision))) return undefined;
  if (isGgufName(repository) || /(^|\/)\.\.?(\/|$)/.test(file ?? '')) return undefined;
  return { repository, revision, gguf: file !== undefined ? { file } : tag !== undefined ? { tag } : undefined };
}

/**
 * True for what reads as a hub id: `owner/name`, `owner/name/file.gguf` or `owner/name:TAG`, each with or without `@revision`. Where there
 * is a file system an existing folder or .gguf of that path goes first; `./owner/name` and `owner/name/` are paths everywhere.
 */
export function isHubId(text: string): boolean {
  return parseHubId(text) !== undefined;
}

/** True for the name, path or address of a GGUF file. */
export function isGgufName(text: string): boolean {
  return /\.gguf$/i.test(text);
}

/** True for an address that a hub may have: http(s), without query and credentials. */
export function isEndpoint(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && !url.search && !url.hash && !url.username && !url.password;
}

/** True for a commit's full name, which stands for the same files for ever. */
export function isCommit(revision: unknown): revision is string {
  return typeof revision === 'string' && /^[0-9a-f]{40}$/.test(revision);
}
