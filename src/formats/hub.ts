import { WebLoraError } from '../errors.ts';
import type { Folder } from './folder-contract.ts';
import { openHttpFolder } from './folder-http.ts';
import type { WebOptions } from './folder-http.ts';
import { discard, isAbsent, refused, request } from './http.ts';
import { errorWord, hubSite, judgeRefusal, revisionAddress } from './hub-access.ts';
import type { HubAccess, HubSite } from './hub-access.ts';
import { isCommit } from './hub-id.ts';

export type { HubAccess } from './hub-access.ts';

export interface HubOptions extends WebOptions {
  /** What else was tried before the text was taken for a hub id, as a sentence for messages. */
  readonly tried?: string | undefined;
}

interface Hub extends HubSite {
  readonly options: HubOptions;
}

/**
 * A model or an adapter on the Hugging Face hub, by `owner/name` or `owner/name@revision` (default `main`). The revision is asked for
 * once, when the first file is: all files of one folder are of one commit. Throws `TypeError` for what is no hub id or endpoint.
 * Reading throws `file_missing` for a repository or a revision that is not there, `file_unreadable` for one that may not be read and
 * where the hub cannot be reached, and what a web folder's reading throws.
 */
export function openHubFolder(text: string, access: HubAccess = {}, options: HubOptions = {}): Folder {
  const hub: Hub = { ...hubSite(text, access, options.tried), options };
  const { revision } = hub.id;

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
      return judgeRefusal(hub, response);
    },
  });
}

/** The commit that the id's revision is now. */
async function askCommit(hub: Hub): Promise<string> {
  const { headers, options } = hub;
  const location = revisionAddress(hub);
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
    throw judgeRefusal(hub, response) ?? refused(location, response);
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
