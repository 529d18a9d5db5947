import { diagnose, type DoctorCheck, type DoctorReport, type DoctorTiming } from 'weblora';
import { find, make, on, setText } from './dom.ts';
import { missingHere, showTrouble } from './trouble.ts';
import { count } from './words.ts';

const examineButton = find('examine', HTMLButtonElement);
const bar = find('bar', HTMLProgressElement);
const now = find('now', HTMLElement);
const save = find('save', HTMLAnchorElement);

on(examineButton, 'click', () => void examine());
if (missingHere()) showTrouble(undefined);

async function examine(): Promise<void> {
  examineButton.disabled = true;
  save.hidden = true;
  find('report', HTMLElement).replaceChildren();
  try {
    const report = await diagnose({
      onProgress: ({ done, total, next }) => {
        bar.value = done / total;
        setText(now, next === '' ? '' : `${done + 1} of ${total}: ${next}`);
      },
    });
    show(report);
  } catch (error) {
    showTrouble(error);
  } finally {
    examineButton.disabled = false;
  }
}

function show(report: DoctorReport): void {
  const { device, runtime, checks, timings, pipelines, serving, clock, ms } = report;
  const wrong = checks.filter((check) => check.wrong !== undefined).length;
  const verdict = wrong === 0 ? 'all of them sound' : `${wrong} of them wrong; others serve in their place`;
  setText(now, `Done in ${(ms / 1000).toFixed(1)} s: ${count(checks.length, 'variant')} checked, ${verdict}.`);
  const slowest = pipelines.toSorted((a, b) => b.ms - a.ms).slice(0, 5);
  find('report', HTMLElement).replaceChildren(
    part(
      'This device',
      make('p', '', `${device.name}${device.software ? ', in software' : ''}`),
      make('p', 'figures', runtime),
      featuresOf(report),
    ),
    part(
      'What serves',
      ...(['exact', 'half'] as const).map((precision) => make('p', '', `${precision}: ${servingText(serving[precision])}`)),
    ),
    part('Checks', table(['Kernel', 'Variant', 'Precision', 'Result'], checks.map(checkRow))),
    part(
      'Milliseconds of one dispatch',
      make('p', 'figures', clock === 'timestamps' ? 'By the device’s own timestamps; medians.' : 'From the submit to the result; medians.'),
      table(['Kernel', 'Shape', 'Variant', 'ms', 'least to most'], timings.map(timingRow)),
    ),
    part(
      'Pipelines that took longest to compile',
      table(
        ['Kernel', 'ms'],
        slowest.map(({ kernel, ms: taken }) => row(kernel, number(taken, 1))),
      ),
    ),
  );
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(new Blob([`${JSON.stringify(report, undefined, 2)}\n`], { type: 'application/json' }));
  save.hidden = false;
}

function part(title: string, ...children: readonly Node[]): HTMLElement {
  return make('section', 'doctor-part', make('h2', '', title), ...children);
}

function featuresOf({ device: { features, limits } }: DoctorReport): HTMLElement {
  const mebibytes = (name: string): string => `${((limits[name] ?? 0) / 2 ** 20).toFixed(0)} MiB`;
  const sizes = `${mebibytes('maxStorageBufferBindingSize')} a binding, ${mebibytes('maxBufferSize')} a buffer`;
  return make('p', 'figures', `${sizes}; ${features.join(', ') || 'no features'}`);
}

function servingText(serving: DoctorReport['serving']['exact']): string {
  if (typeof serving === 'string') return serving;
  return Object.entries(serving)
    .map(([kernel, variants]) => `${kernel} ${variants.join(', ')}`)
    .join('; ');
}

/** A table that scrolls by itself where the page is narrow: by keys, too. */
function table(heads: readonly string[], rows: readonly HTMLElement[]): HTMLElement {
  const cells = heads.map((head) => {
    const cell = make('th', '', head);
    cell.scope = 'col';
    return cell;
  });
  const scroll = make('div', 'doctor-scroll', make('table', '', make('thead', '', make('tr', '', ...cells)), make('tbody', '', ...rows)));
  scroll.tabIndex = 0;
  scroll.setAttribute('role', 'group');
  scroll.setAttribute('aria-label', heads.join(', '));
  return scroll;
}

function row(...cells: readonly (string | HTMLElement)[]): HTMLTableRowElement {
  return make('tr', '', ...cells.map((cell) => (typeof cell === 'string' ? make('td', '', cell) : cell)));
}

const number = (value: number, digits: number): HTMLElement => make('td', 'number', value.toFixed(digits));
const named = (family: string, variant: string): string => (family === variant ? family : `${family} ${variant}`);

function checkRow({ kernel, family, variant, precision, wrong }: DoctorCheck): HTMLElement {
  const element = row(kernel, named(family, variant), precision, wrong ?? 'sound');
  element.dataset['sound'] = wrong === undefined ? 'yes' : 'no';
  return element;
}

function timingRow({ kernel, shape, family, variant, ms, least, most }: DoctorTiming): HTMLElement {
  return row(kernel, shape, named(family, variant), number(ms, 3), `${least.toFixed(3)} to ${most.toFixed(3)}`);
}
