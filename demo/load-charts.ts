import type uPlot from 'uplot';

let loading: Promise<typeof uPlot> | undefined;

/** The library that draws charts, loaded when the first one is shown. */
export function loadCharts(): Promise<typeof uPlot> {
  return (loading ??= load());
}

async function load(): Promise<typeof uPlot> {
  // It formats numbers for `navigator.language` as it loads, and Chromium under a POSIX locale says `en-US@posix`, which Intl refuses.
  const { language } = navigator;
  if (!isLanguage(language)) Object.defineProperty(navigator, 'language', { value: language.split('@')[0], configurable: true });
  return (await import('uplot')).default;
}

function isLanguage(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length === 1;
  } catch {
    return false;
  }
}
