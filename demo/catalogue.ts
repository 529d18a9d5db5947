import type { AdapterInfo, Adapters, EngineEvent, Source } from 'weblora';
import { shipped } from './base.ts';
import type { PageEngine } from './engine.ts';
import type { Shipped } from './frontdesk.ts';
import { hueFor, type Roster, type Voice } from './roster.ts';
import { thousandNumber } from './thousand-adapter.ts';
import { errorInWords } from './words.ts';

/** Keeps the roster and the engine's adapters the same. */
export interface Catalogue {
  /** Registers and loads the adapters of the page, and those that were added on an earlier visit. */
  open(): Promise<void>;
  /** Adds one. Throws what the engine throws; nothing of it stays behind then. */
  add(id: string, source: Source): Promise<void>;
  /** Tries once more to load one that failed. */
  retry(id: string): Promise<void>;
  remove(id: string): Promise<void>;
  /** Asks the engine where its adapters are now: all of them, those of the Thousand view too. */
  refresh(): Promise<readonly AdapterInfo[]>;
  /** Takes note of which adapters the browser kept and which it refused. */
  hear(events: EngineEvent['adapters']): void;
}

const known = ({ rank, bytes, tier }: AdapterInfo): { rank?: number; bytes?: number; tier: AdapterInfo['tier'] } => ({
  tier,
  ...(rank !== undefined && { rank }),
  ...(bytes !== undefined && { bytes }),
});

/** Those of the Thousand view have no cards: they are drawn there, all together. */
const hasVoice = ({ id }: Pick<AdapterInfo, 'id'>): boolean => thousandNumber(id) === undefined;

export function createCatalogue(engine: PageEngine, roster: Roster): Catalogue {
  const { adapters } = engine;
  /** By id, as a refusal may be told before its voice is on the page. */
  const unkept = new Map<string, string>();

  const load = async (id: string): Promise<void> => {
    roster.update(id, { state: 'loading' });
    try {
      roster.update(id, { state: 'ready', ...known(await adapters.load(id)) });
    } catch (error) {
      roster.update(id, { state: 'failed', trouble: errorInWords(error) });
    }
  };
  const register = async (own: Shipped, kept: readonly AdapterInfo[]): Promise<void> => {
    try {
      await registerShipped(adapters, own, kept);
    } catch (error) {
      return roster.update(own.id, { state: 'failed', trouble: errorInWords(error) });
    }
    await load(own.id);
  };
  const greet = (info: AdapterInfo): void => {
    if (!roster.get(info.id)) roster.add({ ...newcomer(info, hueFor(roster)), unkept: unkept.get(info.id) });
  };

  return {
    open: async () => {
      const kept = (await adapters.list()).filter(hasVoice);
      kept.forEach(greet);
      const added = kept.filter(({ id }) => !shipped.some((each) => each.id === id));
      await Promise.all([...shipped.map((each) => register(each, kept)), ...added.map(({ id }) => load(id))]);
    },
    add: async (id, source) => {
      unkept.delete(id);
      await adapters.add(id, source);
      try {
        const info = await adapters.load(id);
        greet(info);
        roster.update(id, { state: 'ready', ...known(info) });
      } catch (error) {
        // What went wrong first is what there is to tell.
        await adapters.remove(id).catch(() => undefined);
        throw error;
      }
    },
    retry: load,
    remove: async (id) => {
      await adapters.remove(id);
      unkept.delete(id);
      roster.remove(id);
    },
    refresh: async () => {
      const all = await adapters.list();
      for (const info of all) if (hasVoice(info)) roster.update(info.id, known(info));
      return all;
    },
    hear: (events) => {
      for (const event of events) {
        const { kind, id, message } = event;
        if (event.tier !== 'disk' || !hasVoice(event)) continue;
        if (kind === 'fail') unkept.set(id, `Not kept in this browser; it will be gone after a reload. ${message ?? ''}`.trimEnd());
        else if (kind === 'load') unkept.delete(id);
        else continue;
        roster.update(id, { unkept: unkept.get(id) });
      }
    },
  };
}

async function registerShipped(adapters: Adapters, { id, source }: Shipped, kept: readonly AdapterInfo[]): Promise<void> {
  // Kept from a visit to this page at another address: what is shipped now counts.
  if (kept.some((info) => info.id === id && info.source !== source)) await adapters.remove(id);
  await adapters.add(id, source);
}

/** The voice of an adapter that a person added. */
function newcomer(info: AdapterInfo, hue: number): Voice {
  const { id, source } = info;
  return { id, name: id, does: `from ${source}`, hue, face: 'prose', from: 'person', state: 'loading', ...known(info) };
}
