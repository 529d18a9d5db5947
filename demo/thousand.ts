import type { AdapterInfo } from 'weblora';
import { createCells, type Cells } from './cells.ts';
import { find, on, say, setText } from './dom.ts';
import type { PageEngine } from './engine.ts';
import { announce } from './field.ts';
import { nextFrame } from './frame.ts';
import { examples } from './frontdesk.ts';
import type { Gauge } from './gauge.ts';
import { IN_FLIGHT, runStorm, type StormCount } from './storm.ts';
import { createStormCharts, type StormCharts } from './thousand-charts.ts';
import { thousandId } from './thousand-adapter.ts';
import { createSeries, type Series } from './thousand-series.ts';
import { summaryOf } from './thousand-summary.ts';
import { countTiers, whereabouts, type Whereabouts } from './thousand-where.ts';
import { createTierTable, type TierTable } from './tier-table.ts';
import { count, errorInWords } from './words.ts';

/** A thousand adapters, a storm of requests for them, and where they are meanwhile. */
export interface ThousandView {
  start(engine: PageEngine, gauge: Gauge): void;
  /** Where the engine's adapters are now. */
  place(list: readonly AdapterInfo[]): void;
  stop(): void;
}

interface View {
  readonly requests: number;
  readonly send: HTMLButtonElement;
  readonly forget: HTMLButtonElement;
  readonly words: HTMLElement;
  readonly error: HTMLElement;
  readonly bar: HTMLProgressElement;
  readonly progress: HTMLElement;
  readonly cells: Cells;
  readonly table: TierTable;
  readonly charts: StormCharts;
  places: Whereabouts;
  counted: StormCount;
  engine: PageEngine | undefined;
  /** Of the storm that runs. */
  series: Series | undefined;
  running: AbortController | undefined;
  forgetting: 'yes' | 'no';
}

const NOTHING: StormCount = { answered: 0, failed: 0, distinct: 0, trouble: undefined };
const SEED = 1;

/** The address may ask for fewer or more: `?requests=60`. */
function requestsAsked(): number {
  const asked = Number(new URLSearchParams(location.search).get('requests'));
  return Number.isInteger(asked) && asked >= 1 && asked <= 100_000 ? asked : 600;
}

function planOf(requests: number): string {
  return (
    `Start sends ${count(requests, 'short request')}, ${IN_FLIGHT} at a time. The first adapter is asked twice as often as the second, ` +
    'ten times as often as the tenth: Zipf’s law. Stop ends it.'
  );
}

export function createThousandView(): ThousandView {
  const view: View = {
    requests: requestsAsked(),
    send: find('storm-send', HTMLButtonElement),
    forget: find('storm-forget', HTMLButtonElement),
    words: find('storm-words', HTMLElement),
    error: find('storm-error', HTMLElement),
    bar: find('storm-bar', HTMLProgressElement),
    progress: find('storm-progress', HTMLElement),
    cells: createCells(),
    table: createTierTable(),
    charts: createStormCharts(),
    places: whereabouts([]),
    counted: NOTHING,
    engine: undefined,
    series: undefined,
    running: undefined,
    forgetting: 'no',
  };
  setText(view.words, planOf(view.requests));
  view.cells.show(view.places);
  view.table.count(countTiers(view.places));
  on(view.send, 'click', () => (view.running ? view.running.abort() : void storm(view)));
  on(view.forget, 'click', () => void forgetAll(view));
  renderControls(view);

  return {
    start: (engine, gauge) => {
      view.engine = engine;
      gauge.watch((reading) => {
        nextFrame(() => view.table.show(reading.stats));
        if (!view.series) return;
        view.series.push(reading, countTiers(view.places));
        view.charts.show(view.series);
      });
      gauge.tick();
      nextFrame(() => renderControls(view));
    },
    place: (list) => place(view, list),
    stop: () => view.running?.abort(),
  };
}

function place(view: View, list: readonly AdapterInfo[]): void {
  view.places = whereabouts(list);
  view.cells.show(view.places);
  nextFrame(() => {
    view.table.count(countTiers(view.places));
    renderControls(view);
  });
}

async function storm(view: View): Promise<void> {
  const { engine, requests } = view;
  if (!engine || view.forgetting === 'yes') return;
  const control = new AbortController();
  const { signal } = control;
  view.running = control;
  view.counted = NOTHING;
  say(view.error, undefined);
  setText(view.words, planOf(requests));
  renderControls(view);
  announce(`${count(requests, 'request')} begin`);
  try {
    const before = await engine.stats();
    const began = performance.now();
    const series = createSeries(began);
    series.push({ at: began, stats: before }, countTiers(view.places));
    view.series = series;
    const messages = examples.map(({ message }) => message);
    const onChange = (counted: StormCount): void => {
      view.counted = counted;
      nextFrame(() => renderProgress(view));
    };
    const counted = await runStorm(engine, { requests, seed: SEED, messages, signal, onChange });
    const ended = performance.now();
    view.series = undefined;
    const after = await engine.stats();
    series.push({ at: performance.now(), stats: after }, countTiers(view.places));
    view.charts.show(series);
    const summary = summaryOf({ before, after, counted, ms: ended - began, end: signal.aborted ? 'stopped' : 'done' });
    setText(view.words, summary);
    announce(summary);
  } catch (error) {
    say(view.error, errorInWords(error));
  } finally {
    view.running = undefined;
    view.series = undefined;
    nextFrame(() => renderControls(view));
  }
}

/** Removes all of them from the engine and from the browser's store: the next storm begins as the first one did. */
async function forgetAll(view: View): Promise<void> {
  const { engine } = view;
  if (!engine || view.running || view.forgetting === 'yes') return;
  view.forgetting = 'yes';
  say(view.error, undefined);
  renderControls(view);
  try {
    const known = new Set((await engine.adapters.list()).map(({ id }) => id));
    const ids = view.places.map((_, index) => thousandId(index + 1)).filter((id) => known.has(id));
    const removed = await Promise.allSettled(ids.map((id) => engine.adapters.remove(id)));
    const failed = removed.find((each) => each.status === 'rejected');
    if (failed) throw failed.reason;
    announce(`${count(ids.length, 'adapter')} forgotten`);
  } catch (error) {
    say(view.error, errorInWords(error));
  } finally {
    view.forgetting = 'no';
    view.send.focus();
    place(view, await engine.adapters.list().catch(() => []));
  }
}

function renderControls(view: View): void {
  const { send, forget, engine, running, forgetting, places } = view;
  setText(send, running ? 'Stop' : engine ? 'Start' : 'Loading');
  send.classList.toggle('stopping', running !== undefined);
  send.disabled = engine === undefined || forgetting === 'yes';
  forget.disabled = engine === undefined || running !== undefined || forgetting === 'yes' || places.every((tier) => tier === 'origin');
  renderProgress(view);
}

function renderProgress({ bar, progress, counted, requests }: View): void {
  const { answered, failed, distinct } = counted;
  bar.value = (answered + failed) / requests;
  const rest = failed > 0 ? ` · ${failed} failed` : '';
  setText(progress, `${answered} of ${requests} · ${count(distinct, 'adapter')}${rest}`);
}
