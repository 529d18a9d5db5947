import { WebLoraError } from '../errors.ts';
import { isAbsent } from './http.ts';
import { environment, implicitToken } from './hub-home.ts';
import { isEndpoint, parseHubId } from './hub-id.ts';
import type { HubId } from './hub-id.ts';

/** How the hub is reached. Each default is read from the environment, where there is one. */
export interface HubAccess {
  /** Sent to the endpoint's origin and nowhere else. Default: the one that Hugging Face's tools would send; '' sends none. */
  readonly token?: string | undefined;
  /** Default `HF_ENDPOINT`, else https://huggingface.co. */
  readonly endpoint?: string | undefined;
}

/** One repository of one hub, and what is sent there. */
export interface HubSite {
  readonly id: HubId;
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** For the endpoint's origin alone. */
  readonly headers: Readonly<Record<string, string>>;
  /** What else was tried before the text was taken for a hub id, as a sentence for messages. */
  readonly tried?: string | undefined;
}

/** Hugging Face's own. */
export const HUB = 'https://huggingface.co';

/** Reads a hub id and how its hub is reached. Throws `TypeError` for what is no hub id, endpoint or token. */
export function hubSite(text: string, access: HubAccess = {}, tried?: string): HubSite {
  const id = parseHubId(text);
  if (!id) throw new TypeError(`${JSON.stringify(text)} is no hub id; those are owner/name, owner/name@revision, owner/name/file.gguf.`);
  return { id, endpoint: hubEndpoint(access), headers: headersOf(access.token ?? implicitToken()), tried };
}

/** Where the hub tells which commit the id's revision is. */
export function revisionAddress({ id, endpoint }: HubSite): string {
  return `${endpoint}/api/models/${id.repository}/revision/${encodeURIComponent(id.revision ?? 'main')}`;
}

/** The hub's own word for what is wrong, or ''. */
export function errorWord(response: Response): string {
  return response.headers.get('x-error-code') ?? '';
}

/** What the hub's refusals mean and what to do, or undefined for others'. */
export function judgeRefusal({ id, endpoint, headers, tried }: HubSite, response: Response): WebLoraError | undefined {
  const { status } = response;
  const { repository, revision } = id;
  const error = (code: 'file_missing' | 'file_unreadable', message: string): WebLoraError =>
    new WebLoraError(code, tried ? `${tried} ${message}` : message);
  if (isAbsent(status)) {
    if (errorWord(response) === 'RevisionNotFound') {
      return error('file_missing', `${repository} on ${endpoint} has no revision ${revision ?? 'main'}: give a branch, a tag or a commit.`);
    }
    const what = revision === undefined ? repository : `${repository} with a revision ${revision}`;
    return error('file_missing', `There is no ${what} on ${endpoint}: check the hub id.`);
  }
  if (status !== 401 && status !== 403) return undefined;
  if (headers.authorization === undefined) {
    const here = globalThis.process ? 'set HF_TOKEN, log in with hf auth login, or ' : '';
    const how = `if it is private or gated, ${here}give a token that may read it as the option hubToken.`;
    return error('file_unreadable', `${endpoint} does not show ${repository} without a token (${status}): check the hub id; ${how}`);
  }
  const how = `check the token (hubToken, HF_TOKEN or that of hf auth login), and ask for access at ${endpoint}/${repository} if it is gated.`;
  return error('file_unreadable', `The token may not read ${repository} on ${endpoint} (${status}): check the hub id; ${how}`);
}

/** The hub's address, without a slash at its end. Throws `TypeError` for what is none. */
export function hubEndpoint(access: HubAccess | undefined): string {
  const text = (access?.endpoint ?? environment('HF_ENDPOINT'))?.trim() || HUB;
  if (!isEndpoint(text)) throw new TypeError("The hub's endpoint (HF_ENDPOINT) is not an http(s) URL without query and credentials.");
  return new URL(text).href.replace(/\/+$/, '');
}

function headersOf(given: string): Readonly<Record<string, string>> {
  const token = given.trim();
  if (token === '') return {};
  // Checked here because fetch would show the token in its message.
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new TypeError('The hub token (hubToken, HF_TOKEN or that of hf auth login) holds spaces or characters that no token has.');
  return { authorization: `Bearer ${token}` };
}
