import { fitCanvas, type Size } from './canvas.ts';
import { find } from './dom.ts';
import { nextFrame } from './frame.ts';
import { countTiers, type Whereabouts } from './thousand-where.ts';
import { tierColour, tierNames, tiers } from './tiers.ts';

/** A thousand cells, one for each adapter, in the colour of the tier where its bytes are. */
export interface Cells {
  show(places: Whereabouts): void;
}

/** Milliseconds for which a cell that changed is marked. */
const MARKED = 500;
const still = matchMedia('(prefers-reduced-motion: reduce)');

export function createCells(): Cells {
  const canvas = find('cells', HTMLCanvasElement);
  let shown: Whereabouts = [];
  let moved: ReadonlySet<number> = new Set();
  let unmark: ReturnType<typeof setTimeout> | undefined;

  const draw = fitCanvas(canvas, (size) => drawCells(canvas, size, shown, moved));

  return {
    show: (places) => {
      const changed = places.flatMap((tier, index) => (shown.length > 0 && shown[index] !== tier ? [index] : []));
      shown = places;
      moved = new Set(still.matches ? [] : changed);
      if (unmark !== undefined) clearTimeout(unmark);
      if (moved.size > 0) {
        unmark = setTimeout(() => {
          moved = new Set();
          nextFrame(draw);
        }, MARKED);
      }
      const counts = countTiers(places);
      const words = tiers.map((tier) => `${counts[tier]} ${tierNames[tier]}`).join(', ');
      canvas.setAttribute('aria-label', `A cell for each of the thousand, the one asked most often first: ${words}`);
      nextFrame(draw);
    },
  };
}

/** In rows as one reads; one that has just changed wears a ring. */
function drawCells(canvas: HTMLCanvasElement, { width, height, ratio }: Size, places: Whereabouts, moved: ReadonlySet<number>): void {
  if (width === 0 || places.length === 0) return;
  const context = canvas.getContext('2d')!;
  const colours = { gpu: tierColour('gpu'), heap: tierColour('heap'), disk: tierColour('disk'), origin: tierColour('origin') };
  const ink = getComputedStyle(canvas).color;
  const columns = Math.round(Math.sqrt((places.length * width) / height));
  const pitch = width / columns;
  const side = Math.max(1, pitch - Math.max(1, Math.round(pitch / 8)));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  for (const [index, tier] of places.entries()) {
    const [x, y] = [(index % columns) * pitch, Math.floor(index / columns) * pitch];
    context.fillStyle = colours[tier];
    context.fillRect(x, y, side, side);
    if (!moved.has(index)) continue;
    context.strokeStyle = ink;
    context.lineWidth = 1.5;
    context.strokeRect(x + 0.75, y + 0.75, side - 1.5, side - 1.5);
  }
}
