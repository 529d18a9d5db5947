import { fitCanvas, type Size } from './canvas.ts';
import type { EngineEvent } from 'weblora';
import { find, setText } from './dom.ts';
import { nextFrame } from './frame.ts';
import type { Reading } from './gauge.ts';
import { createRate } from './rate.ts';
import type { Roster } from './roster.ts';
import { thousandNumber } from './thousand-adapter.ts';
import { hueOf, tintColour } from './tint.ts';
import { count, rateInWords } from './words.ts';

type Step = EngineEvent['steps'][number];

/** Pixels: one column, and the cell of one row in it. */
const COLUMN = 7;
const CELL = 5;
const GAP = 1;

/** The picture of the batch: a column for each step, a cell for each row, coloured by the adapter it belongs to. */
export interface Strip {
  push(event: EngineEvent): void;
  /** Takes note of how many tokens there were so far. */
  read(reading: Reading): void;
}

/** What came back at one moment. */
interface Beat {
  readonly at: number;
  readonly steps: number;
}

/** Milliseconds over which speeds are taken, and after which a silence begins a new measurement. */
const WINDOW = 3000;
const SILENCE = 1500;

/** More columns than the widest screen shows. */
const MOST_KEPT = 1000;

const rowsOf = (step: Step): number => Object.values(step.rows).reduce((sum, rows) => sum + rows, 0);
const adaptersOf = (step: Step): number => Object.keys(step.rows).filter((id) => id !== '').length;

export function createStrip(roster: Roster): Strip {
  const canvas = find('strip', HTMLCanvasElement);
  const idle = find('pulse-idle', HTMLElement);
  const readouts = createReadouts();
  const kept: Step[] = [];
  const tokens = createRate({ window: WINDOW, silence: SILENCE });
  let rate: number | undefined;
  let beats: readonly Beat[] = [];
  let total = 0;

  const draw = fitCanvas(canvas, (size) => drawSteps(canvas.getContext('2d')!, size, kept, roster));
  const tell = (): void => {
    draw();
    const last = kept.at(-1);
    if (!last) return;
    idle.hidden = true;
    readouts.show(last, stepMs(beats), rate);
    canvas.dataset['steps'] = String(total);
    const words = `${count(rowsOf(last), 'row')} for ${count(adaptersOf(last), 'adapter')}`;
    canvas.setAttribute('aria-label', `${count(total, 'step')} so far; the last one had ${words}`);
  };

  return {
    push: ({ at, steps }) => {
      // A step recorded ahead of an end that nobody knew of yet carries nothing.
      const more = steps.filter((step) => rowsOf(step) > 0);
      if (more.length === 0) return;
      kept.push(...more);
      total += more.length;
      beats = [...recent(beats, at), { at, steps: more.length }];
      if (kept.length > 2 * MOST_KEPT) kept.splice(0, kept.length - MOST_KEPT);
      nextFrame(tell);
    },
    read: ({ at, stats }) => {
      rate = tokens.push(at, stats.tokens) ?? rate;
      nextFrame(tell);
    },
  };
}

interface Readouts {
  /** @param ms of a step. @param rate tokens a second. */
  show(last: Step, ms: number | undefined, rate: number | undefined): void;
}

/** The figures beside the picture. */
function createReadouts(): Readouts {
  const read = (name: string): HTMLElement => find(`read-${name}`, HTMLElement);
  const [rows, adapters, step, tokens] = [read('rows'), read('adapters'), read('ms'), read('rate')];
  return {
    show: (last, ms, rate) => {
      setText(rows, String(rowsOf(last)));
      setText(adapters, `${adaptersOf(last)}${'' in last.rows ? ' + base' : ''}`);
      if (ms !== undefined) setText(step, `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);
      if (rate !== undefined) setText(tokens, `${rateInWords(rate)}/s`);
    },
  };
}

/** The latest steps that have room, the last one at the right. */
function drawSteps(context: CanvasRenderingContext2D, { width, height, ratio }: Size, steps: readonly Step[], roster: Roster): void {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const colours = new Map<string, string>();
  const colour = (id: string): string => {
    const known = colours.get(id) ?? tintColour(roster.get(id) ?? strangerOf(id));
    colours.set(id, known);
    return known;
  };
  const shown = steps.slice(-Math.ceil(width / COLUMN));
  for (const [index, step] of shown.entries()) drawStep(context, step, width - (shown.length - index) * COLUMN, height, colour);
}

/** Those of the Thousand view have no voice, and a colour each all the same. */
function strangerOf(id: string): { readonly hue: number | undefined } {
  const number = thousandNumber(id);
  return { hue: number === undefined ? undefined : hueOf(number) };
}

function recent(beats: readonly Beat[], at: number): readonly Beat[] {
  const last = beats.at(-1);
  return last === undefined || at - last.at > SILENCE ? [] : beats.filter((beat) => at - beat.at <= WINDOW);
}

/** Steps overlap, so their own times do not add up: the time is divided by how many came back in it. */
function stepMs([first, ...rest]: readonly Beat[]): number | undefined {
  const last = rest.at(-1);
  if (!first || !last) return undefined;
  return (last.at - first.at) / rest.reduce((all, { steps }) => all + steps, 0);
}

/** From the floor upwards; a step with more rows than have room (it reads prompts) fills the column in proportion. */
function drawStep(context: CanvasRenderingContext2D, step: Step, x: number, height: number, colour: (id: string) => string): void {
  const fits = Math.floor((height + GAP) / (CELL + GAP));
  const rows = rowsOf(step);
  let top = height;
  for (const [id, own] of Object.entries(step.rows)) {
    context.fillStyle = colour(id);
    if (rows <= fits) {
      for (let row = 0; row < own; row++) {
        top -= CELL;
        context.fillRect(x, top, COLUMN - 2, CELL);
        top -= GAP;
      }
    } else {
      const share = (own / rows) * height;
      top -= share;
      context.fillRect(x, top, COLUMN - 2, Math.max(share - GAP, 0.5));
    }
  }
}
