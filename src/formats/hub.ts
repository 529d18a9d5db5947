import { WebLoraError } from '../errors.ts';
import type { Folder } from './folder-contract.ts';
import { openHttpFolder } from './folder-http.ts';
import type { WebOptions } from './folder-http.ts';
import { discard, isAbsent, refused, request } from './http.ts';
import { isCommit, parseHubId } from './hub-id.ts';
import type { HubId } from './hub-id.ts';

/** How the hub is reached. Each default is read from the environment, where there is one. */
export interface HubAccess {
  /** Sent to the endpoint's origin and nowhere else. Default `HF_TOKEN`; '' sends none. */
  readonly token?: string | undefined;
  /** Default `HF_ENDPOINT`, else https://huggingface.co. */
  readonly endpoint?: string | undefined;
}

export interface HubOptions extends WebOptions {
  /** What else was tried before the text was taken for a hub id, as a sentence for messages. */
  readonly tried?: string | undefined;
}

interface Hub {
  readonly id: HubId;
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly options: HubOptions;
}

const HUB = 'https://huggingface.co';

/**
 * A model or an adapter on the Hugging Face hub, by `owner/name` or `owner/name@revision` (default `main`). The revision is asked for
 * once, when the first file is: all files of one folder are of one commit. Throws `TypeError` for what is no hub id or endpoint.
 * Reading throws `file_missing` for a repository or a revision that is not there, `file_unreadable` for one that may not be read and
 * where the hub cannot be reached, and what a web folder's reading throws.
 */
export function openHubFolder(text: string, access: HubAccess = {}, options: HubOptions = {}): Folder {
  const id = parseHubId(text);
  if (!id) throw new TypeError(`${JSON.stringify(text)} is no hub id; those are owner/name or owner/name@revision.`);
  const endpoint = endpointOf(access.endpoint ?? environment('HF_ENDPOINT'));
  const hub: Hub = { id, endpoint, headers: headersOf(access.token ?? environment('HF_TOKEN')), options };
  const { revision } = id;

  let opened: Promise<{ readonly commit: string; readonly files: Folder }> | undefined;
  const ask = async (): NonNullable<typeof opened> => {
    const commit = isCommit(revision) ? revision : await askCommit(hub);
    return { commit, files: openCommit(hub, commit) };
  };
  const open = (): NonNullable<typeof opened> => {
    if (opened) return opened;
    opened = ask();
    opened.catch(() => (opened = undefined)); // asked again next time
    return opened;
  };
  return {
    location: text,
    fixed: isCommit(revision) ? 'yes' : 'no',
    size: async (name) => (await open()).files.size(name),
    read: async (name, start, end) => (await open()).files.read(name, start, end),
    stamp: async () => (await open()).commit,
  };
}

function openCommit(hub: Hub, commit: string): Folder {
  return openHttpFolder(`${hub.endpoint}/${hub.id.repository}/resolve/${commit}/`, {
    signal: hub.options.signal,
    cache: hub.options.cache,
    headers: hub.headers,
    judge: (response) => {
      // Without a word of its own a 404 is a file's.
      if (isAbsent(response.status) && !/^(Repo|Revision)NotFound$/.test(errorWord(response))) return undefined;
      return judge(hub, response);
    },
  });
}

/** The commit that the id's revision is now. */
async function askCommit(hub: Hub): Promise<string> {
  const { id, endpoint, headers, options } = hub;
  const location = `${endpoint}/api/models/${id.repository}/revision/${encodeURIComponent(id.revision ?? 'main')}`;
  const init = { headers, ...(options.cache && { cache: options.cache }), ...(options.signal && { signal: options.signal }) };
  let response: Response;
  try {
    response = await request(location, init);
  } catch (error) {
    if (!options.tried || !(error instanceof WebLoraError)) throw error;
    throw new WebLoraError(error.code, `${options.tried} ${error.message}`, { cause: error });
  }
  if (!response.ok) {
    await discard(response);
    throw judge(hub, response) ?? refused(location, response);
  }
  let answer: unknown;
  try {
    answer = await response.json();
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw new WebLoraError('file_unreadable', `The answer of ${location} broke off or is no JSON.`, { cause });
  }
  const commit = typeof answer === 'object' && answer !== null && 'sha' in answer ? answer.sha : undefined;
  if (isCommit(commit)) return commit;
  throw new WebLoraError('file_unreadable', `${location} answered without the commit ("sha", 40 hexadecimal digits): is it a hub?`);
}

/** The hub's own word for what is wrong, or ''. */
const errorWord = (response: Response): string => response.headers.get('x-error-code') ?? '';

/** What the hub's refusals mean and what to do, or undefined for others'. */
function judge({ id, endpoint, headers, options }: Hub, response: Response): WebLoraError | undefined {
  const { status } = response;
  const { repository, revision } = id;
  const error = (code: 'file_missing' | 'file_unreadable', message: string): WebLoraError =>
    new WebLoraError(code, options.tried ? `${options.tried} ${message}` : message);
  if (isAbsent(status)) {
    if (errorWord(response) === 'RevisionNotFound') {
      return error('file_missing', `${repository} on ${endpoint} has no revision ${revision ?? 'main'}: give a branch, a tag or a commit.`);
    }
    const what = revision === undefined ? repository : `${repository} with a revision ${revision}`;
    return error('file_missing', `There is no ${what} on ${endpoint}: check the hub id.`);
  }
  if (status !== 401 && status !== 403) return undefined;
  if (headers.authorization === undefined) {
    const how = 'if it is private or gated, set HF_TOKEN to a token that may read it (or give the token as an option).';
    return error('file_unreadable', `${endpoint} does not show ${repository} without a token (${status}): check the hub id; ${how}`);
  }
  const how = `check the token, and ask for access at ${endpoint}/${repository} if it is gated.`;
  return error('file_unreadable', `The token may not read ${repository} on ${endpoint} (${status}): check the hub id; ${how}`);
}

function endpointOf(given: string | undefined): string {
  const text = given?.trim() || HUB;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) {
    throw new TypeError("The hub's endpoint (HF_ENDPOINT) is not an http(s) URL without query and credentials.");
  }
  return url.href.replace(/\/+$/, '');
}

function headersOf(given: string | undefined): Readonly<Record<string, string>> {
  const token = given?.trim() ?? '';
  if (token === '') return {};
  // Checked here because fetch would show the token in its message.
  if (!/^[\x21-\x7e]+$/.test(token)) throw new TypeError('The hub token (HF_TOKEN) holds spaces or characters that no token has.');
  return { authorization: `Bearer ${token}` };
}

/** A variable of the environment; undefined where there is none, and where it may not be looked at (Deno). */
function environment(name: string): string | undefined {
  try {
    return globalThis.process?.env?.[name];
  } catch {
    return undefined;
  }
}
