const waiting = new Set<() => void>();
let asked: 'yes' | 'no' = 'no';

/**
 * Runs `work` and tells the browser's timeline how long it took, as the measure `page:<name>`. The entry is not kept: whoever wants it
 * observes it, and a page that stays open for days does not grow.
 */
export function measured<T>(name: string, work: () => T): T {
  const start = performance.now();
  try {
    return work();
  } finally {
    const label = `page:${name}`;
    performance.measure(label, { start, end: performance.now() });
    performance.clearMeasures(label);
  }
}

/** Runs `render` with the next frame; asked again before that, once. Everything that streams writes to the page through this. */
export function nextFrame(render: () => void): void {
  waiting.add(render);
  if (asked === 'yes') return;
  asked = 'yes';
  requestAnimationFrame(() => {
    asked = 'no';
    const renders = [...waiting];
    waiting.clear();
    measured('frame', () => renders.forEach((each) => each()));
  });
}
