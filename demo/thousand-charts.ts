import { createChart, type Chart } from './chart.ts';
import type { Lines, Series } from './thousand-series.ts';
import { tierColour } from './tiers.ts';
import { rateInWords } from './words.ts';

/** The four charts of a storm. */
export interface StormCharts {
  show(series: Series): void;
}

const at = (lines: Lines, line: number, index: number): number => lines[line]?.[index] ?? 0;
const solid = (tier: 'gpu' | 'heap' | 'disk') => ({ colour: () => tierColour(tier), fill: 'solid' }) as const;
const wash = { colour: () => tierColour('gpu'), fill: 'wash' } as const;
const stack = [solid('disk'), solid('heap'), solid('gpu')] as const;

/** Up to the next round number, so that the scale does not tremble. */
function roundUp(value: number, least: number): number {
  const most = Math.max(value, least);
  const unit = 10 ** Math.floor(Math.log10(most));
  return [1, 1.5, 2, 3, 4, 5, 7.5, 10].map((step) => step * unit).find((end) => end >= most)!;
}

export function createStormCharts(): StormCharts {
  const where = createChart({
    id: 'chart-where',
    lines: stack,
    range: (_, most) => [0, roundUp(most, 10)],
    mark: String,
    read: (lines, index) => `${at(lines, 1, index)} kept`,
  });
  const moves = createChart({
    id: 'chart-moves',
    lines: [...stack, ...stack],
    range: (least, most) => [-roundUp(-least, 1), roundUp(most, 1)],
    mark: (value) => String(Math.abs(value)),
    read: (lines, index) => `${rateInWords(at(lines, 1, index))} in, ${rateInWords(-at(lines, 4, index))} out`,
  });
  const hits = createChart({
    id: 'chart-hits',
    lines: [wash],
    range: () => [0, 100],
    mark: (value) => `${value}%`,
    read: (lines, index) => (lines[1]?.[index] == null ? '' : `${Math.round(at(lines, 1, index))} %`),
  });
  const tokens = createChart({
    id: 'chart-tokens',
    lines: [wash],
    range: (_, most) => [0, roundUp(most, 10)],
    mark: String,
    read: (lines, index) => `${rateInWords(at(lines, 1, index))}/s`,
  });
  const all: readonly (readonly [Chart, (series: Series) => Lines])[] = [
    [where, (series) => series.where()],
    [moves, (series) => series.moves()],
    [hits, (series) => series.hits()],
    [tokens, (series) => series.tokens()],
  ];
  return {
    show: (series) => {
      for (const [chart, lines] of all) chart.show(lines(series));
    },
  };
}
