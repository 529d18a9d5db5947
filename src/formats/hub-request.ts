import { WebLoraError } from '../errors.ts';
import { discard, request } from './http.ts';
import type { HubSite } from './hub-access.ts';

/** An answer, and the address that gave it after all redirects. */
export interface Answer {
  readonly response: Response;
  readonly address: string;
}

const MOST_REDIRECTS = 8;
const REDIRECTS = [301, 302, 303, 307, 308];

/** `hidden`: this runtime (a browser) does not show where a redirect leads, and drops the token itself where it leaves the origin. */
let redirects: 'shown' | 'hidden' = 'shown';

/**
 * Asks the hub, or a host that it named. Redirects are followed by hand where the runtime lets us see them, so that the token goes to
 * the hub's origin alone, whatever the runtime's own `fetch` would send along. Throws the signal's reason or `file_unreadable`.
 */
export async function askHub(site: HubSite, location: string, init: RequestInit): Promise<Answer> {
  let address = location;
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const own = originOf(address) === originOf(site.endpoint) ? site.headers : {};
    const headers = { ...(init.headers as Record<string, string> | undefined), ...own };
    const response = await request(address, { ...init, headers, redirect: redirects === 'shown' ? 'manual' : 'follow' });
    if (response.type === 'opaqueredirect') {
      redirects = 'hidden';
      continue;
    }
    const target = REDIRECTS.includes(response.status) ? response.headers.get('location') : null;
    if (target === null) return { response, address: response.url || address };
    await discard(response);
    if (!URL.canParse(target, address) || !/^https?:$/.test(new URL(target, address).protocol)) {
      throw new WebLoraError('file_unreadable', `${location} redirects to ${target}, which is no http(s) address.`);
    }
    address = new URL(target, address).href;
  }
  throw new WebLoraError('file_unreadable', `${location} redirects more than ${MOST_REDIRECTS} times.`);
}

/** True where an address is of the hub itself: such a one stays valid, others are signed for a while. */
export function isOwnAddress(site: HubSite, address: string): boolean {
  return originOf(address) === originOf(site.endpoint);
}

function originOf(address: string): string {
  return new URL(address).origin;
}
