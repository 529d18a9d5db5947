import type { KnownAdapter } from '../adapters/records.ts';
import { WebLoraError } from '../errors.ts';
import { createEntry, isSameSource, originOf, removed, sourceAddress, sourceName, type AdapterEntry } from './adapter-entry.ts';
import type { EngineOptions, Source } from './types.ts';

/** Which ids there are, and the entries behind them: current ones, and removed ones that requests still hold. */
export interface AdapterRegistry {
  /**
   * Registers an id; the entry whose place it took, if one. Throws `adapter_exists` where it has another source that is not to be replaced.
   */
  add(id: string, source: Source, existing: 'keep' | 'replace'): AdapterEntry | undefined;
  /** An entry in place of one whose origin has changed, for those who come from now on; undefined where that one is no longer behind its id. */
  renew(entry: AdapterEntry, version: Pick<AdapterEntry, 'digest' | 'stamp' | 'checkedAt'>): AdapterEntry | undefined;
  /** Keeps what is known of an entry's origin, for other ids of the same. Call it when the origin was read or found unchanged. */
  note(entry: Pick<AdapterEntry, 'origin' | 'digest' | 'stamp' | 'checkedAt'>): void;
  /** The entry of an id that is registered or being asked for. Throws `adapter_unknown`. */
  get(id: string): AdapterEntry;
  /** The entry of an id that is to be used: one to ask `resolve` for where it is not registered. Throws `adapter_unknown`. */
  use(id: string): AdapterEntry;
  /** Settles an `asked` entry by `resolve`'s answer. Throws `adapter_unknown`, or the WebLoraError that `resolve` threw. */
  resolve(entry: AdapterEntry): Promise<void>;
  /** Forgets the id; its entry stays under its key until it is dropped. Throws `adapter_unknown`. */
  remove(id: string): void;
  /** The entry of an id, where there is one. */
  find(id: string): AdapterEntry | undefined;
  /** Whether the entry is the one behind its id. */
  isCurrent(entry: AdapterEntry): boolean;
  entry(key: string): AdapterEntry | undefined;
  /** Throws `adapter_unknown` for an entry that was dropped. */
  checkKnown(entry: AdapterEntry): void;
  /** Forgets an entry that nobody holds any more. */
  drop(entry: AdapterEntry): void;
  /** All entries, removed ones too. */
  entries(): Iterable<AdapterEntry>;
  /** Entries that are not registered: removed, replaced, or asked for. */
  loose(): Iterable<AdapterEntry>;
  /** Registered entries, lazily, and how many. */
  registered(): Iterable<AdapterEntry>;
  count(): number;
}

/** Makes a registry that begins with what a store remembers. */
export function createAdapterRegistry(known: readonly KnownAdapter[], ask: EngineOptions['resolve']): AdapterRegistry {
  const byId = new Map<string, AdapterEntry>();
  const byKey = new Map<string, AdapterEntry>();
  const loose = new Set<AdapterEntry>();
  /** What was last found of addresses, under whatever id: another id for the same one need not be read to be known. */
  const versions = new Map<string, Pick<AdapterEntry, 'digest' | 'stamp' | 'checkedAt'>>();
  let made = 0;

  const note: AdapterRegistry['note'] = ({ origin, digest, stamp, checkedAt }) => {
    const address = origin === undefined ? undefined : sourceAddress(origin);
    if (address === undefined || digest === undefined) return;
    const before = versions.get(address);
    if (!before || before.checkedAt <= checkedAt) versions.set(address, { digest, stamp, checkedAt });
  };
  const versionOf = (origin: Source) => versions.get(sourceAddress(origin) ?? '');
  const insert = (given: Omit<Parameters<typeof createEntry>[0], 'key'>): AdapterEntry => {
    const entry = createEntry({ ...given, key: `${given.id}#${made++}` });
    const before = byId.get(entry.id);
    if (before) loose.add(before);
    if (entry.state === 'asked') loose.add(entry);
    byId.set(entry.id, entry);
    byKey.set(entry.key, entry);
    return entry;
  };
  const isCurrent = (entry: AdapterEntry): boolean => byId.get(entry.id) === entry;
  function* registered(): Generator<AdapterEntry> {
    for (const entry of byId.values()) if (entry.state === 'registered') yield entry;
  }
  const count = (): number => byId.size - [...loose].filter((entry) => entry.state === 'asked' && isCurrent(entry)).length;
  const unknown = (id: string): WebLoraError => {
    const ids = [...registered()].map((entry) => entry.id);
    const listed = [...ids.slice(0, 8), ...(ids.length > 8 ? [`${ids.length - 8} more`] : [])].join(', ') || 'none';
    const advice = ask ? 'resolve knows no such id either' : 'Call adapters.add first';
    return new WebLoraError('adapter_unknown', `No adapter is registered as "${id}" (registered: ${listed}). ${advice}.`, {
      param: 'adapter',
    });
  };
  const get = (id: string): AdapterEntry => {
    const entry = byId.get(id);
    if (!entry) throw unknown(id);
    return entry;
  };
  const askFor = async (entry: AdapterEntry): Promise<void> => {
    try {
      const source = await (async () => ask!(entry.id))(); // a callback that throws at once fails all who ask now, as a promise would
      if (source === undefined) throw unknown(entry.id);
      entry.name = sourceName(source);
      entry.origin = originOf(source);
      entry.state = 'registered';
      if (entry.digest === undefined) Object.assign(entry, versionOf(entry.origin));
      if (isCurrent(entry)) loose.delete(entry);
    } catch (cause) {
      if (isCurrent(entry)) byId.delete(entry.id); // asked anew by whoever comes later
      loose.add(entry);
      if (cause instanceof WebLoraError) throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new WebLoraError('adapter_unknown', `No adapter is registered as "${entry.id}", and resolve failed: ${why}`, {
        cause,
        param: 'adapter',
      });
    }
  };

  // also one that has neither bytes of this precision nor an address: it is told of when used, and can be removed or added again
  for (const { source, ...each } of known) note(insert({ ...each, state: 'registered', origin: source, noted: 'yes' }));
  return {
    add: (id, source, existing) => {
      const old = byId.get(id);
      const origin = originOf(source);
      if (old?.state === 'registered') {
        if (old.origin !== undefined && isSameSource(old.origin, origin)) return undefined;
        if (existing === 'keep' && !canReplace(old, source)) {
          const from = (old.origin !== undefined && sourceAddress(old.origin)) || old.name; // of two folders people may type the same
          const message = `"${id}" is registered from ${from}. Pass { replace: true }, or choose another id.`;
          throw new WebLoraError('adapter_exists', message, { param: 'id' });
        }
      }
      insert({ id, state: 'registered', origin, name: sourceName(source), ...versionOf(origin) });
      return old;
    },
    renew: (entry, { digest, stamp, checkedAt }) => {
      note({ origin: entry.origin, digest, stamp, checkedAt });
      if (!isCurrent(entry)) return undefined;
      const { id, state, by, origin, name, pin } = entry;
      return insert({ id, state, by, origin, name, pin, digest, stamp, checkedAt });
    },
    note,
    get,
    use: (id) => byId.get(id) ?? (ask ? insert({ id, state: 'asked', by: 'resolve', origin: undefined, name: id }) : get(id)),
    resolve: (entry) => (entry.resolving ??= askFor(entry)),
    remove: (id) => {
      loose.add(get(id));
      byId.delete(id);
    },
    find: (id) => byId.get(id),
    isCurrent,
    entry: (key) => byKey.get(key),
    checkKnown: (entry) => {
      if (!byKey.has(entry.key)) throw removed(entry);
    },
    drop: (entry) => {
      if (isCurrent(entry)) byId.delete(entry.id);
      byKey.delete(entry.key);
      loose.delete(entry);
    },
    entries: () => byKey.values(),
    loose: () => loose,
    registered,
    count,
  };
}

/**
 * Whether a source takes the place of what the store alone has. A folder of the same name, dropped again, may have changed since, so
 * it is read; and where the stored bytes are lost, anything that brings the adapter back will do.
 */
function canReplace(old: AdapterEntry, source: Source): boolean {
  if (old.origin !== undefined) return false;
  return old.digest === undefined || (sourceAddress(source) === undefined && sourceName(source) === old.name);
}
