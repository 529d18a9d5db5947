import type { AdapterInfo } from 'weblora';
import { hueOf } from './tint.ts';

/** Whoever can answer: the base model (its id is '') or an adapter. */
export interface Voice {
  readonly id: string;
  readonly name: string;
  /** What it does with a message, or where it came from. */
  readonly does: string;
  /** Degrees on the colour wheel; undefined: the base's grey. */
  readonly hue: number | undefined;
  readonly face: 'prose' | 'code';
  /** `page`: it comes with the page. `person`: someone added it, and may remove it. */
  readonly from: 'page' | 'person';
  readonly state: 'loading' | 'ready' | 'failed';
  /** What is known of it, as the engine tells. */
  readonly rank?: number;
  readonly bytes?: number;
  readonly tier?: AdapterInfo['tier'];
  /** Why it failed, in words. */
  readonly trouble?: string;
  /** Why it will be gone after a reload, in words. */
  readonly unkept?: string | undefined;
}

/** All voices, in the order in which they are shown. */
export interface Roster {
  all(): readonly Voice[];
  get(id: string): Voice | undefined;
  add(voice: Voice): void;
  update(id: string, change: Partial<Omit<Voice, 'id'>>): void;
  remove(id: string): void;
  /** Called after every change. */
  watch(listener: () => void): void;
}

export function createRoster(): Roster {
  const voices = new Map<string, Voice>();
  const listeners: (() => void)[] = [];
  const tell = (): void => listeners.forEach((listener) => listener());
  return {
    all: () => [...voices.values()],
    get: (id) => voices.get(id),
    add: (voice) => {
      voices.set(voice.id, voice);
      tell();
    },
    update: (id, change) => {
      const voice = voices.get(id);
      if (!voice) return;
      const keys = Object.keys(change) as (keyof typeof change)[];
      if (keys.every((key) => voice[key] === change[key])) return;
      voices.set(id, { ...voice, ...change });
      tell();
    },
    remove: (id) => {
      if (voices.delete(id)) tell();
    },
    watch: (listener) => void listeners.push(listener),
  };
}

/** A hue for a voice that brought none. */
export function hueFor(roster: Roster): number {
  return (70 + hueOf(roster.all().length)) % 360;
}

/** The name, or that name with the first number behind it that is free. */
export function freeName(roster: Roster, wanted: string): string {
  if (!roster.get(wanted)) return wanted;
  let number = 2;
  while (roster.get(`${wanted}-${number}`)) number++;
  return `${wanted}-${number}`;
}
