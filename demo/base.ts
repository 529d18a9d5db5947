import type { Source } from 'weblora';
import { frontdeskAdapters, frontdeskSource, type Shipped } from './frontdesk.ts';
import { checkHubId } from './hub-address.ts';
import { keptFiles } from './kept-files.ts';

/** The base model that a person chose: the page's own, one on the hub, or files that were dropped and are kept in this browser. */
export type BaseChoice =
  | { readonly kind: 'frontdesk' }
  | { readonly kind: 'hub'; readonly id: string }
  | { readonly kind: 'files'; readonly name: string; readonly folder: string };

const KEY = 'weblora.model';

/** The one that this visit has: the last that was chosen in this browser, at first the page's own. */
export const base: BaseChoice = lastChosen();

/** What people call it. */
export const baseName = nameOf(base);

/** The adapters that come with the page are for its own model alone. */
export const shipped: readonly Shipped[] = base.kind === 'frontdesk' ? frontdeskAdapters : [];

/** Remembers a model and starts the page with it. */
export function chooseBase(choice: BaseChoice): void {
  if (choice.kind === 'frontdesk') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, JSON.stringify(choice));
  location.reload();
}

/** Where the engine reads it. Throws an Error in words where dropped files are no longer kept. */
export async function baseSource(): Promise<Source> {
  if (base.kind === 'frontdesk') return frontdeskSource;
  if (base.kind === 'hub') return base.id;
  const files = await keptFiles(base.folder);
  if (files.length > 0) return files;
  throw new Error(`This browser has cleared its copy of “${base.name}”, and a page cannot open a file again by itself: drop it once more.`);
}

/** The hub that the address names (`?hub=http://localhost:8080`), where it names one. */
export function hubAsked(): string | undefined {
  return new URLSearchParams(location.search).get('hub') ?? undefined;
}

function lastChosen(): BaseChoice {
  try {
    const { kind, id, name, folder } = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Record<string, unknown>;
    if (kind === 'hub' && typeof id === 'string' && 'id' in checkHubId(id)) return { kind, id };
    if (kind === 'files' && typeof name === 'string' && typeof folder === 'string') return { kind, name, folder };
  } catch {
    // what somebody else wrote there
  }
  return { kind: 'frontdesk' };
}

function nameOf(choice: BaseChoice): string {
  if (choice.kind === 'frontdesk') return 'Frontdesk';
  return choice.kind === 'hub' ? choice.id : choice.name;
}
