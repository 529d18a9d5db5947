import type { Voice } from './roster.ts';

const dark = matchMedia('(prefers-color-scheme: dark)');

/** Gives an element its voice's colour; the style sheet turns the hue into one that reads well in either scheme. */
export function tintElement(element: HTMLElement, hue: number | undefined): void {
  element.style.setProperty('--hue', String(hue ?? 0));
  element.style.setProperty('--chroma', hue === undefined ? '0' : '0.13');
}

/** The same colour for a canvas, which knows no custom properties. Keep in step with `.tinted` in base.css. */
export function tintColour(voice: Pick<Voice, 'hue'> | undefined): string {
  const chroma = voice?.hue === undefined ? 0 : 0.13;
  return `oklch(${dark.matches ? 0.78 : 0.52} ${chroma} ${voice?.hue ?? 0})`;
}

/** Steps around the colour wheel that land far from all before them: hues of those who brought none. */
export function hueOf(number: number): number {
  return Math.round(number * 137.508) % 360;
}

/** Called when the person's scheme changes. */
export function watchScheme(listener: () => void): void {
  dark.addEventListener('change', listener);
}
