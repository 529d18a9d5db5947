import { styleText } from 'node:util';
import wrapAnsi from 'wrap-ansi';

/** One model's answer while it grows. */
export interface Voice {
  readonly name: string;
  text: string;
  state: 'waiting' | 'writing' | 'ended';
}

/** What a terminal shows at once. */
export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** Colours a name; the number is the voice's place in the list. */
export type Paint = (name: string, index: number) => string;

const COLOURS = ['cyan', 'magenta', 'yellow', 'green', 'blueBright', 'redBright', 'cyanBright', 'magentaBright', 'greenBright'] as const;

/** Names in colours that repeat after nine, or as they are. */
export function painter(colours: 'colours' | 'plain'): Paint {
  if (colours === 'plain') return (name) => name;
  return (name, index) => styleText(['bold', COLOURS[index % COLOURS.length] ?? 'cyan'], name);
}

/** An answer for a reader that is no terminal: `name: text`; further lines are indented, so that none begins as an answer does. */
export function plainAnswer(name: string, text: string): string {
  return `${name}: ${text.replaceAll('\n', '\n  ')}\n`;
}

/** The last line of `weblora chat`. It has no `name: `, so it cannot be taken for an answer. */
export function summaryLine(counts: {
  readonly tokens: number;
  readonly seconds: number;
  readonly batch: number;
  readonly adapters: number;
}): string {
  const speed = counts.seconds > 0 ? (counts.tokens / counts.seconds).toFixed(1) : '0.0';
  return `[${speed} tokens per second, batch size ${counts.batch}, ${counts.adapters} distinct adapters]`;
}

/** All answers in full, names in a column of their own, for the terminal's scrollback. */
export function wholeAnswers(voices: readonly Voice[], columns: number, paint: Paint): string {
  const layout = layoutFor(voices, columns);
  return voices.map((voice, index) => `${block(voice, index, layout, paint).join('\n')}\n`).join('');
}

/**
 * The answers so far, side by side, in at most `rows − 1` lines of at most `columns` columns. Where they do not fit each shows its
 * end; where there are more answers than lines those being written come first and a last line counts the others.
 */
export function liveFrame(voices: readonly Voice[], size: ScreenSize, paint: Paint): string {
  const layout = layoutFor(voices, size.columns);
  const budget = Math.max(1, size.rows - 1);
  const ranked = voices.map((voice, index) => ({ voice, index }));
  if (voices.length <= budget) return fit(ranked, Math.floor(budget / voices.length), budget, layout, paint).join('\n');
  const shown = ranked
    .toSorted((a, b) => order(a.voice) - order(b.voice) || a.index - b.index)
    .slice(0, budget - 1)
    .toSorted((a, b) => a.index - b.index);
  const hidden = voices.length - shown.length;
  const ended = voices.filter((voice) => voice.state === 'ended').length;
  const rest = `… and ${hidden} more; ${ended} of ${voices.length} ended`.slice(0, size.columns);
  return [...fit(shown, 1, budget - 1, layout, paint), rest].join('\n');
}

function order(voice: Voice): number {
  return voice.state === 'writing' ? 0 : voice.state === 'waiting' ? 1 : 2;
}

interface Layout {
  readonly columns: number;
  /** Width of the column of names. */
  readonly names: number;
}

function layoutFor(voices: readonly Voice[], columns: number): Layout {
  const longest = Math.max(...voices.map((voice) => voice.name.length), 1);
  return { columns: Math.max(columns, 8), names: Math.min(longest, Math.max(4, Math.floor(columns / 4))) };
}

type Ranked = readonly { readonly voice: Voice; readonly index: number }[];

/** Every block whole where all of them fit into `budget` lines, else the last `each` lines of each. */
function fit(voices: Ranked, each: number, budget: number, layout: Layout, paint: Paint): string[] {
  // Text that cannot be seen need not be wrapped: a frame's cost does not grow with the answers.
  const seen = budget * layout.columns;
  const blocks = voices.map(({ voice, index }) => block({ ...voice, text: voice.text.slice(-seen) }, index, layout, paint));
  if (blocks.reduce((sum, lines) => sum + lines.length, 0) <= budget) return blocks.flat();
  return voices.flatMap(({ voice, index }) => block({ ...voice, text: voice.text.slice(-seen) }, index, layout, paint, each));
}

/** One answer's lines: the name beside the first, the text wrapped in a column of its own; at most the last `most` lines of text. */
function block(voice: Voice, index: number, layout: Layout, paint: Paint, most = Number.POSITIVE_INFINITY): string[] {
  const width = Math.max(1, layout.columns - layout.names - 2);
  const wrapped = visible(voice.text)
    .split('\n')
    .flatMap((line) => wrapLine(line, width));
  const lines = wrapped.slice(-Math.min(most, wrapped.length));
  const letters = [...visible(voice.name)];
  const name = letters.length > layout.names ? `${letters.slice(0, layout.names - 1).join('')}…` : letters.join('');
  const gap = ' '.repeat(Math.max(0, layout.names - [...name].length) + 2);
  const indent = ' '.repeat(layout.names + 2);
  return lines.map((line, number) => (number === 0 ? `${paint(name, index)}${gap}${line}` : `${indent}${line}`).trimEnd());
}

/** A line cut to columns; the space at which it is cut is dropped, one with which it begins is not. */
function wrapLine(line: string, width: number): string[] {
  const parts = wrapAnsi(line, width, { hard: true, trim: false }).split('\n');
  return parts.map((part, index) => (index === 0 ? part : part.trimStart()));
}

/** A model may write escape sequences: nothing it says moves the cursor. */
function visible(text: string): string {
  return text.replaceAll('\t', '  ').replace(/[^\P{Cc}\n]/gu, '');
}
