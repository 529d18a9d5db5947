import { WebLoraError } from '../errors.ts';
import type { RangeAnswer, RangeSource } from './download.ts';
import { fileMissing } from './folder-contract.ts';
import { discard, isAbsent, refused } from './http.ts';
import { errorWord, judgeRefusal } from './hub-access.ts';
import type { HubSite } from './hub-access.ts';
import { askHub, isOwnAddress } from './hub-request.ts';
import { isFailure, passing, passingFailure } from './hub-retry.ts';
import type { Patience } from './hub-retry.ts';

/** What a host beyond the hub answers where the address that the hub gave is no longer good. */
const EXPIRED = [400, 401, 403, 404, 410];

/**
 * The bytes of one file on the hub. Where the hub sends us to another host, that host is asked from then on, without the token, until it
 * takes the address for expired. Asking throws `file_missing`, `file_unreadable` for what the hub refuses, and the signal's reason.
 */
export function hubSource(site: HubSite, commit: string, name: string, patient: Patience): RangeSource {
  const path = name.split('/').map(encodeURIComponent).join('/');
  const location = `${site.endpoint}/${site.id.repository}/resolve/${commit}/${path}`;
  let known: string | undefined;
  const ask = async (range: { readonly start: number; readonly end: number } | undefined, signal: AbortSignal): Promise<RangeAnswer> => {
    const headers = range ? { range: `bytes=${range.start}-${range.end - 1}` } : {};
    const from = known ?? location;
    // A cache of the browser would keep what the store keeps already.
    const answer = await passing(patient, () => askHub(site, from, { headers, signal, cache: 'no-store' }));
    if (isFailure(answer)) {
      known = undefined;
      return answer;
    }
    const { response, address } = answer;
    const away = !isOwnAddress(site, address);
    const busy = passingFailure(away ? new URL(address).host : location, response, patient.clock);
    if (response.ok) known = away ? address : undefined;
    else await discard(response);
    if (busy) return busy;
    if (response.ok) return { response };
    if (away && EXPIRED.includes(response.status)) {
      known = undefined;
      const message = `${new URL(address).host}, to which the hub sent us for ${location}, answered ${response.status}.`;
      return { failure: new WebLoraError('file_unreadable', message) };
    }
    if (isAbsent(response.status) && !/^(Repo|Revision)NotFound$/.test(errorWord(response))) throw fileMissing(location);
    throw judgeRefusal(site, response) ?? refused(location, response);
  };
  return { location, ask };
}
