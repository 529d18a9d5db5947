import type uPlot from 'uplot';
import { find, make, setText } from './dom.ts';
import { nextFrame } from './frame.ts';
import type { Lines } from './thousand-series.ts';
import { watchScheme } from './tint.ts';
import { loadCharts } from './load-charts.ts';
import { errorInWords } from './words.ts';

/** One chart over the seconds of a storm. */
export interface Chart {
  show(lines: Lines): void;
}

export interface ChartOptions {
  /** Of the figure in index.html. */
  readonly id: string;
  /** Of each line, asked whenever it is drawn. `solid` fills down to zero and hides what lies behind, `wash` fills it lightly. */
  readonly lines: readonly { readonly colour: () => string; readonly fill: 'solid' | 'wash' }[];
  /** The ends of the scale for values from `least` to `most`. */
  readonly range: (least: number, most: number) => readonly [number, number];
  /** A number on the scale. */
  readonly mark: (value: number) => string;
  /** What the lines say at a moment, in words. */
  readonly read: (lines: Lines, index: number) => string;
}

const HEIGHT = 132;
/** Seconds that the chart has room for from the start. */
const LEAST_SECONDS = 10;

export function createChart({ id, lines, range, mark, read }: ChartOptions): Chart {
  const figure = find(id, HTMLElement);
  const box = make('div', 'chart-box');
  const now = make('span', 'figures chart-now');
  const title = figure.querySelector('h2')!;
  const words = title.textContent;
  let plot: uPlot | undefined;
  let shown: Lines = [[], ...lines.map(() => [])];
  box.setAttribute('role', 'img');
  title.after(now);
  figure.append(box);

  const tell = (index: number): void => {
    const text = index < 0 ? '' : read(shown, index);
    setText(now, text || '–');
    box.setAttribute('aria-label', `${words}: ${text || 'nothing yet'}`);
  };
  const last = (): number => shown[0].length - 1;
  const draw = (): void => {
    plot?.setData(shown as unknown as uPlot.AlignedData);
    box.dataset['points'] = String(shown[0].length);
    tell(plot?.cursor.idx ?? last());
  };
  const fit = async (width: number): Promise<void> => {
    const Plot = await loadCharts();
    nextFrame(() => {
      if (plot) plot.setSize({ width, height: HEIGHT });
      else plot = new Plot(options(width), shown as unknown as uPlot.AlignedData, box);
    });
  };
  const options = (width: number): uPlot.Options => ({
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, 18, 0, 0],
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, sync: { key: 'storm' } },
    scales: {
      x: { time: false, range: (_, _least, most) => [0, Math.max(LEAST_SECONDS, most ?? 0)] },
      y: { range: (_, least, most) => [...range(least ?? 0, most ?? 0)] },
    },
    series: [{}, ...lines.map(({ colour, fill }) => lineOf(colour, fill))],
    axes: [axisOf(box, (value) => `${value} s`, 28), axisOf(box, mark, 40)],
    hooks: { setCursor: [({ cursor }) => tell(cursor.idx ?? last())] },
  });
  new ResizeObserver(([entry]) => {
    const { width } = entry!.contentRect;
    // Not shown: there is nothing to measure yet.
    if (width > 0) fit(width).catch((error: unknown) => setText(now, errorInWords(error)));
  }).observe(box);
  watchScheme(() => nextFrame(() => plot?.redraw(false, true)));
  draw();
  return {
    show: (next) => {
      shown = next;
      nextFrame(draw);
    },
  };
}

function lineOf(colour: () => string, fill: 'solid' | 'wash'): uPlot.Series {
  const wash = (): string => `color-mix(in oklab, ${colour()} 16%, transparent)`;
  return { stroke: colour, width: fill === 'solid' ? 0 : 1.5, fill: fill === 'solid' ? colour : wash, points: { show: false } };
}

/** Colours and face are those of the box: the style sheet says them. */
function axisOf(box: HTMLElement, mark: (value: number) => string, size: number): uPlot.Axis {
  const line = (): string => getComputedStyle(box).borderTopColor;
  return {
    size,
    gap: 4,
    font: `11px ${getComputedStyle(box).fontFamily}`,
    stroke: () => getComputedStyle(box).color,
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
    values: (_, splits) => splits.map((value) => (value === null ? '' : mark(value))),
  };
}
