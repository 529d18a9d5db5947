import { WebLoraError } from '../errors.ts';
import { hubStoreHere } from '../formats/hub-open.ts';
import { removeModel, type HubStore, type StoredModel } from '../formats/hub-store.ts';
import { say, writeText } from './cli-host.ts';
import type { Host } from './cli-host.ts';
import type { ModelsArguments, RemoveModelsArguments } from './cli-models-arguments.ts';
import { bytesInWords } from './cli-values.ts';

/** `weblora models`: prints what the cache holds. Returns 0. Throws `store_failed`. */
export async function runModels({ form }: ModelsArguments, host: Host): Promise<0> {
  const store = await hubStoreHere();
  const models = await store.models();
  if (form === 'json') {
    await writeText(host.stdout, `${JSON.stringify({ cache: store.location, models: models.map(jsonOf) }, undefined, 2)}\n`);
    return 0;
  }
  if (models.length === 0) say(host, `There are no models in ${store.location}.`);
  else await writeText(host.stdout, `${modelsTable(models, store, Date.now())}\n`);
  return 0;
}

/** `weblora models rm`. Returns 0. Throws `file_missing` for what is not there, after all others were removed. */
export async function runRemoveModels({ ids }: RemoveModelsArguments, host: Host): Promise<0> {
  const store = await hubStoreHere();
  let failure: unknown;
  for (const id of ids) {
    try {
      say(host, `${id} removed: ${bytesInWords(await removeModel(store, id))} freed`);
    } catch (error) {
      failure ??= error instanceof TypeError ? new WebLoraError('request_invalid', error.message, { cause: error }) : error;
    }
  }
  if (failure !== undefined) throw failure as Error;
  return 0;
}

function jsonOf({ repository, revisions, ...model }: StoredModel): object {
  const dated = revisions.map(({ usedAt, ...revision }) => ({
    ...revision,
    lastUsed: usedAt === undefined ? null : new Date(usedAt).toISOString(),
  }));
  return { id: repository, ...model, revisions: dated };
}

/** A line for each revision, then what all of it takes. @param now milliseconds since 1970. */
export function modelsTable(models: readonly StoredModel[], { location }: Pick<HubStore, 'location'>, now: number): string {
  const head = ['ID', 'REVISION', 'FILES', 'BYTES', 'LAST USED'];
  const rows = models.flatMap(({ repository, revisions, unfinishedBytes }) => [
    ...revisions.map(({ commit, names, files, bytes, usedAt }) => [
      repository,
      [...names, commit.slice(0, 8)].join(' '),
      String(files),
      bytesInWords(bytes),
      usedAt === undefined ? 'unknown' : ago(now - usedAt),
    ]),
    ...(unfinishedBytes > 0 ? [[repository, '(unfinished)', '', bytesInWords(unfinishedBytes), '']] : []),
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)));
  const right = (column: number): boolean => column === 2 || column === 3;
  const line = (row: readonly string[]): string =>
    row
      .map((text, column) => (right(column) ? text.padStart(widths[column]!) : text.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd();
  const all = models.reduce((sum, { bytes, unfinishedBytes }) => sum + bytes + unfinishedBytes, 0);
  const count = models.length === 1 ? '1 model' : `${models.length} models`;
  return [line(head), ...rows.map(line), `${count}, ${bytesInWords(all)} in ${location}`].join('\n');
}

const UNITS = [
  ['year', 365 * 24 * 3600],
  ['month', 30 * 24 * 3600],
  ['day', 24 * 3600],
  ['hour', 3600],
  ['minute', 60],
] as const;

/** How long ago in the largest unit that fits. */
function ago(milliseconds: number): string {
  for (const [unit, seconds] of UNITS) {
    const count = Math.floor(milliseconds / 1000 / seconds);
    if (count >= 1) return `${count} ${unit}${count === 1 ? '' : 's'} ago`;
  }
  return 'just now';
}
