import type { Tier } from 'weblora';
import { find } from './dom.ts';

/** Nearest first. */
export const tiers: readonly Tier[] = ['gpu', 'heap', 'disk', 'origin'];

/** Where an adapter's bytes are, in a word. */
export const tierNames: Readonly<Record<Tier, string>> = { gpu: 'GPU', heap: 'memory', disk: 'disk', origin: 'origin' };

/** The tier's colour for a canvas, which knows no custom properties: that of the legend, so that the style sheet alone says it. */
export function tierColour(tier: Tier): string {
  return getComputedStyle(find(`legend-${tier}`, HTMLElement)).backgroundColor;
}
