import { WebLoraError } from '../errors.ts';
import { isFileName } from './folder-contract.ts';
import { discard, refused } from './http.ts';
import { hubSite, judgeRefusal, revisionAddress } from './hub-access.ts';
import type { HubAccess, HubSite } from './hub-access.ts';
import { isCommit } from './hub-id.ts';
import { askHub } from './hub-request.ts';
import { bodyReader, isFailure, passing, passingFailure, patience, persist, watch } from './hub-retry.ts';
import type { Failure, Patience, Watch } from './hub-retry.ts';
import { jsonObject, parseJson, show } from './json.ts';

/** One file of a repository, as the hub describes it. */
export interface HubFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Git's own hash of what git keeps: of the file, or of the pointer to it where `sha256` is known. 40 hexadecimal digits. */
  readonly oid: string;
  /** SHA-256 of the file, 64 hexadecimal digits; undefined for small files. */
  readonly sha256: string | undefined;
}

/** All files of one commit. */
export interface HubListing {
  /** `owner/name`. */
  readonly repository: string;
  readonly commit: string;
  readonly files: readonly HubFile[];
}

const MOST_PAGES = 1000;
const LARGEST_PAGE = 32 << 20;

/**
 * The files of a repository on the hub, by `owner/name` or `owner/name@revision`, with sizes and hashes, all of the commit that the
 * revision is now. Asks again, more and more slowly, where the hub is busy or breaks off.
 *
 * Throws `file_missing` for a repository or revision that is not there, `file_unreadable` for one that may not be read and where the hub
 * does not answer, `file_invalid` for answers that are none of a hub, the signal's reason, `TypeError` for what is no hub id.
 */
export async function listHubFiles(text: string, access: HubAccess = {}, options: Partial<Patience> = {}): Promise<HubListing> {
  const site = hubSite(text, access);
  const patient = patience(options);
  return listCommit(site, await findCommit(site, patient), patient);
}

/** The commit that the site's revision is now; a commit's full name stands for itself and is not asked for. Throws what `listHubFiles` does. */
export async function findCommit(site: HubSite, patient: Patience): Promise<string> {
  const { revision } = site.id;
  if (isCommit(revision)) return revision;
  const location = revisionAddress(site);
  const { body } = await askJson(site, location, patient);
  const commit = typeof body === 'object' && body !== null && 'sha' in body ? body.sha : undefined;
  if (isCommit(commit)) return commit;
  throw new WebLoraError('file_invalid', `${location} answered without the commit ("sha", 40 hexadecimal digits): is it a hub?`);
}

/** The files of one commit. Throws what `listHubFiles` does. */
export async function listCommit(site: HubSite, commit: string, patient: Patience): Promise<HubListing> {
  const files = new Map<string, HubFile>();
  const pages = new Set<string>();
  const first = `${site.endpoint}/api/models/${site.id.repository}/tree/${commit}?recursive=true`;
  for (let page: string | undefined = first; page !== undefined;) {
    if (pages.has(page) || pages.size === MOST_PAGES) {
      throw new WebLoraError('file_invalid', `${first} leads from page to page without an end (${pages.size} pages, then ${page}).`);
    }
    pages.add(page);
    // Deno would fetch a file: of this computer too.
    if (!/^https?:/i.test(page)) throw new WebLoraError('file_invalid', `${first} goes on at ${page}, which is no http(s) address.`);
    const { body, next } = await askJson(site, page, patient);
    if (!Array.isArray(body)) throw new WebLoraError('file_invalid', `${page} answered ${show(body)}, not a list of files: is it a hub?`);
    for (const entry of body as readonly unknown[]) {
      const file = fileOf(entry, page);
      if (file) files.set(file.name, file);
    }
    page = next;
  }
  return { repository: site.id.repository, commit, files: [...files.values()] };
}

function fileOf(value: unknown, location: string): HubFile | undefined {
  const entry = jsonObject(value, `${location}: an entry`);
  if (entry.get('type') !== 'file') return undefined;
  const given = entry.get('lfs') ?? undefined;
  const lfs = given === undefined ? undefined : jsonObject(given, `${location}: lfs`);
  const file = {
    name: entry.get('path'),
    size: lfs?.get('size') ?? entry.get('size'),
    oid: entry.get('oid'),
    sha256: lfs?.get('oid'),
  };
  if (isHubFile(file)) return file;
  throw new WebLoraError('file_invalid', `${location} describes a file by ${show(value)}; a path, a size and hashes were expected.`);
}

/** True for a file's description whose name stays in its folder, with a possible size and hashes that are some: it came from outside. */
export function isHubFile(file: { readonly [key in keyof HubFile]: unknown }): file is HubFile {
  const { name, size, oid, sha256 } = file;
  if (typeof name !== 'string' || !isFileName(name) || typeof oid !== 'string' || !/^[0-9a-f]{40}$/.test(oid)) return false;
  if (sha256 !== undefined && (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))) return false;
  return typeof size === 'number' && Number.isSafeInteger(size) && size >= 0;
}

/** A JSON answer of the hub, and the address of the next page if there is one. */
async function askJson(site: HubSite, location: string, patient: Patience): Promise<{ body: unknown; next: string | undefined }> {
  const attempt = async (): Promise<{ text: string; next: string | undefined } | Failure> => {
    const watching = watch(location, patient);
    try {
      const answer = await passing(patient, () => askHub(site, location, { signal: watching.signal, cache: 'no-cache' }));
      if (isFailure(answer)) return answer;
      const { response, address } = answer;
      const failure = passingFailure(location, response, patient.clock);
      if (failure || !response.ok) await discard(response);
      if (failure) return failure;
      if (!response.ok) throw judgeRefusal(site, response) ?? refused(location, response);
      return await passing(patient, async () => ({
        text: await readText(response, location, watching),
        next: nextPage(response, address),
      }));
    } finally {
      watching.end();
    }
  };
  const { text, next } = await persist(attempt, patient);
  return { body: parseJson(text, location), next };
}

async function readText(response: Response, location: string, watching: Watch): Promise<string> {
  const parts: string[] = [];
  const decoder = new TextDecoder();
  const next = bodyReader(response, watching);
  let length = 0;
  try {
    for (let chunk = await next(); chunk; chunk = await next()) {
      length += chunk.length;
      if (length > LARGEST_PAGE) {
        watching.stop();
        throw new WebLoraError('file_invalid', `${location} answered more than ${LARGEST_PAGE} bytes.`);
      }
      parts.push(decoder.decode(chunk, { stream: true }));
    }
  } catch (cause) {
    if (cause instanceof WebLoraError) throw cause;
    throw new WebLoraError('file_unreadable', `The answer of ${location} broke off.`, { cause });
  }
  return parts.join('') + decoder.decode();
}

/** The address behind `Link: <…>; rel="next"`. */
function nextPage(response: Response, address: string): string | undefined {
  for (const [, target, rest] of (response.headers.get('link') ?? '').matchAll(/<([^>]*)>((?:\s*;[^,<]*)*)/g)) {
    if (/;\s*rel="?next"?/i.test(rest!) && URL.canParse(target!, address)) return new URL(target!, address).href;
  }
  return undefined;
}
