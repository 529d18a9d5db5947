import { nextFrame } from './frame.ts';
import { watchScheme } from './tint.ts';

/** A canvas's place on the page in CSS pixels, and device pixels a CSS pixel. */
export interface Size {
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
}

/** Keeps a canvas as large as its place, and draws it when that or the person's scheme changes. The drawing, to be called for all else. */
export function fitCanvas(canvas: HTMLCanvasElement, drawAt: (size: Size) => void): () => void {
  let size: Size = { width: 0, height: 0, ratio: 1 };
  const draw = (): void => drawAt(size);
  new ResizeObserver(([entry]) => {
    const { width, height } = entry!.contentRect;
    size = { width, height, ratio: devicePixelRatio };
    nextFrame(() => {
      canvas.width = Math.round(width * size.ratio);
      canvas.height = Math.round(height * size.ratio);
      draw();
    });
  }).observe(canvas);
  watchScheme(() => nextFrame(draw));
  return draw;
}
