/** A model or an adapter on the hub. */
export interface HubId {
  /** `owner/name`. */
  readonly repository: string;
  /** A branch, a tag, a reference or a commit; undefined: the main branch. */
  readonly revision: string | undefined;
}

const PATTERN = /^([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:@(.+))?$/;
/** What git refuses in a reference; `..` would also leave the place in an address where the revision belongs. */
const NO_REVISION = /[\0-\x20\x7f~^:?*[\\]|\.\.|^[./]|[./]$|\/\//;

/** The parts of `owner/name` or `owner/name@revision`, or undefined for a text that is neither. A revision may hold slashes. */
export function parseHubId(text: string): HubId | undefined {
  const match = PATTERN.exec(text);
  const revision = match?.[2];
  if (!match || (revision !== undefined && NO_REVISION.test(revision))) return undefined;
  return { repository: match[1]!, revision };
}

/**
 * True for what reads as a hub id: `owner/name` or `owner/name@revision`. Where there is a file system an existing folder of that
 * path goes first; `./owner/name` and `owner/name/` are paths everywhere.
 */
export function isHubId(text: string): boolean {
  return parseHubId(text) !== undefined;
}

/** True for a commit's full name, which stands for the same files for ever. */
export function isCommit(revision: unknown): revision is string {
  return typeof revision === 'string' && /^[0-9a-f]{40}$/.test(revision);
}
