import { make, setText } from './dom.ts';
import type { Voice } from './roster.ts';
import { tierNames } from './tiers.ts';
import { bytesInWords } from './words.ts';

/** Rank, bytes and tier of a voice in one line; the tier with its colour. */
export interface Facts {
  readonly element: HTMLElement;
  show(voice: Voice): void;
}

/** @param className of the element; it is a `span`. */
export function createFacts(className: string): Facts {
  const known = document.createTextNode('');
  const place = make('span', 'tier');
  return {
    element: make('span', className, known, place),
    show: ({ rank, bytes, tier, state }) => {
      const words = state !== 'ready' ? state : tier === undefined ? '' : tierNames[tier];
      const parts = [rank === undefined ? '' : `rank ${rank}`, bytes === undefined ? '' : bytesInWords(bytes)].filter(
        (part) => part !== '',
      );
      // The last separator belongs to what comes behind it.
      setText(known, [...parts, ...(words === '' ? [] : [''])].join(' · '));
      setText(place, words);
      place.dataset['tier'] = state === 'ready' && tier !== undefined ? tier : '';
    },
  };
}
