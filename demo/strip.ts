import type { EngineEvent } from 'weblora';
import { find, setText } from './dom.ts';
import { nextFrame } from './frame.ts';
import type { Roster } from './roster.ts';
import { tintColour, watchScheme } from './tint.ts';
import { count, rateInWords } from './words.ts';

type Step = EngineEvent['steps'][number];

/** Pixels: one column, and the cell of one row in it. */
const COLUMN = 7;
const CELL = 5;
const GAP = 1;

/** The picture of the batch: a column for each step, a cell for each row, coloured by the adapter it belongs to. */
export interface Strip {
  push(event: EngineEvent): void;
}

/** What came back at one moment: how many steps, and rows that gave a token. */
interface Beat {
  readonly at: number;
  readonly steps: number;
  readonly tokens: number;
}

/** Milliseconds over which speeds are taken, and after which a silence begins a new measurement. */
const WINDOW = 3000;
const SILENCE = 1500;

/** More columns than the widest screen shows. */
const MOST_KEPT = 1000;

interface Size {
  readonly width: number;
  readonly height: number;
  /** Device pixels per pixel. */
  readonly ratio: number;
}

interface Speed {
  /** Milliseconds a step. */
  readonly ms: number;
  /** Tokens a second. */
  readonly tokens: number;
}

const rowsOf = (step: Step): number => Object.values(step.rows).reduce((sum, rows) => sum + rows, 0);
const adaptersOf = (step: Step): number => Object.keys(step.rows).filter((id) => id !== '').length;

export function createStrip(roster: Roster): Strip {
  const canvas = find('strip', HTMLCanvasElement);
  const idle = find('pulse-idle', HTMLElement);
  const readouts = createReadouts();
  const kept: Step[] = [];
  let beats: readonly Beat[] = [];
  let size: Size = { width: 0, height: 0, ratio: 1 };
  let total = 0;

  const draw = (): void => drawSteps(canvas.getContext('2d')!, size, kept, roster);
  const tell = (): void => {
    draw();
    const last = kept.at(-1);
    if (!last) return;
    idle.hidden = true;
    readouts.show(last, speedOf(beats));
    canvas.dataset['steps'] = String(total);
    const words = `${count(rowsOf(last), 'row')} for ${count(adaptersOf(last), 'adapter')}`;
    canvas.setAttribute('aria-label', `${count(total, 'step')} so far; the last one had ${words}`);
  };
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

  return {
    push: ({ at, steps }) => {
      // A step recorded ahead of an end that nobody knew of yet carries nothing.
      const more = steps.filter((step) => rowsOf(step) > 0);
      if (more.length === 0) return;
      kept.push(...more);
      total += more.length;
      beats = [...recent(beats, at), { at, steps: more.length, tokens: more.reduce((sum, step) => sum + tokensOf(step), 0) }];
      if (kept.length > 2 * MOST_KEPT) kept.splice(0, kept.length - MOST_KEPT);
      nextFrame(tell);
    },
  };
}

interface Readouts {
  show(last: Step, speed: Speed | undefined): void;
}

/** The figures beside the picture. */
function createReadouts(): Readouts {
  const read = (name: string): HTMLElement => find(`read-${name}`, HTMLElement);
  const [rows, adapters, ms, rate] = [read('rows'), read('adapters'), read('ms'), read('rate')];
  return {
    show: (last, speed) => {
      setText(rows, String(rowsOf(last)));
      setText(adapters, `${adaptersOf(last)}${'' in last.rows ? ' + base' : ''}`);
      if (!speed) return;
      setText(ms, `${speed.ms < 10 ? speed.ms.toFixed(1) : Math.round(speed.ms)} ms`);
      setText(rate, `${rateInWords(speed.tokens)}/s`);
    },
  };
}

/** The latest steps that have room, the last one at the right. */
function drawSteps(context: CanvasRenderingContext2D, { width, height, ratio }: Size, steps: readonly Step[], roster: Roster): void {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const colours = new Map<string, string>();
  const colour = (id: string): string => {
    const known = colours.get(id) ?? tintColour(roster.get(id));
    colours.set(id, known);
    return known;
  };
  const shown = steps.slice(-Math.ceil(width / COLUMN));
  for (const [index, step] of shown.entries()) drawStep(context, step, width - (shown.length - index) * COLUMN, height, colour);
}

/** Each sequence gives a token in a step in which it has one row; more rows read a prompt. */
const tokensOf = (step: Step): number => Object.values(step.rows).filter((rows) => rows === 1).length;

function recent(beats: readonly Beat[], at: number): readonly Beat[] {
  const last = beats.at(-1);
  return last === undefined || at - last.at > SILENCE ? [] : beats.filter((beat) => at - beat.at <= WINDOW);
}

/** Steps overlap, so their own times do not add up: what came back is divided by the time it took. */
function speedOf([first, ...rest]: readonly Beat[]): Speed | undefined {
  const last = rest.at(-1);
  if (!first || !last) return undefined;
  const ms = last.at - first.at;
  const sum = (key: 'steps' | 'tokens'): number => rest.reduce((all, beat) => all + beat[key], 0);
  return { ms: ms / sum('steps'), tokens: (sum('tokens') * 1000) / ms };
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
