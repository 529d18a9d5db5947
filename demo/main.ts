import type { ModelInfo, Progress, Stats } from 'weblora';
import { createAddDialog } from './add.ts';
import { base, baseName, shipped } from './base.ts';
import { createCatalogue, type Catalogue } from './catalogue.ts';
import { createChatView } from './chat.ts';
import { find, on, setText } from './dom.ts';
import { startEngine, type PageEngine } from './engine.ts';
import { createEveryoneView } from './everyone.ts';
import { announce } from './field.ts';
import { measured, nextFrame } from './frame.ts';
import { createGauge, type Gauge } from './gauge.ts';
import { createLoading } from './loading.ts';
import { createModelDialog } from './model.ts';
import { createRoster } from './roster.ts';
import { createStrip } from './strip.ts';
import { createThousandView } from './thousand.ts';
import { missingHere, showTrouble } from './trouble.ts';
import { bytesInWords } from './words.ts';

const titles = { everyone: 'everyone answers', chat: 'chat', thousand: 'a thousand adapters' } as const;
type ViewName = keyof typeof titles;

const roster = createRoster();
const strip = createStrip(roster);
const loading = createLoading();
const add = createAddDialog(roster, createModelDialog());
const everyone = createEveryoneView(roster, add.open);
const chat = createChatView(roster);
const thousand = createThousandView();

const ownWords = base.kind === 'frontdesk' ? 'restates the message' : baseName;
roster.add({ id: '', name: 'base', does: ownWords, face: 'prose', hue: undefined, from: 'page', state: 'loading' });
for (const { id, does, face, hue } of shipped) roster.add({ id, name: id, does, face, hue, from: 'page', state: 'loading' });

on(window, 'hashchange', showView);
// Followed as a link, it would name a view in the address, and leave the one that is shown.
on(find('skip', HTMLAnchorElement), 'click', (event) => {
  event.preventDefault();
  find('main', HTMLElement).focus();
});
on<KeyboardEvent>(window, 'keydown', (event) => {
  // Escape closes the dialog first, as browsers do by themselves.
  if (event.key !== 'Escape' || document.querySelector('dialog[open]')) return;
  everyone.stop();
  chat.stop();
  thousand.stop();
});
showBase();
showView();
void start();

/** The thousand are made for the page's own model. */
function showBase(): void {
  if (base.kind === 'frontdesk') return;
  find('tab-thousand', HTMLElement).hidden = true;
  for (const id of ['everyone-message', 'chat-message']) find(id, HTMLTextAreaElement).placeholder = 'Write a message';
  setText(find('chat-ask', HTMLElement), `Ask ${baseName}`);
}

function showView(): void {
  const asked = location.hash.slice(1);
  const name = Object.hasOwn(titles, asked) && !(asked === 'thousand' && base.kind !== 'frontdesk') ? (asked as ViewName) : 'everyone';
  for (const view of Object.keys(titles)) find(`view-${view}`, HTMLElement).hidden = view !== name;
  for (const tab of document.querySelectorAll<HTMLElement>('[data-view]')) {
    if (tab.dataset['view'] === name) tab.setAttribute('aria-current', 'page');
    else tab.removeAttribute('aria-current');
  }
  document.body.dataset['view'] = name;
  document.title = `WebLoRA: ${titles[name]}`;
}

async function start(): Promise<void> {
  if (missingHere()) return showTrouble(undefined);
  let baseBytes = 0;
  let engine: PageEngine;
  try {
    engine = await startEngine((progress: Progress) => {
      if (progress.phase !== 'download') baseBytes = progress.total;
      measured('progress', () => loading.progress(progress));
    });
  } catch (error) {
    return showTrouble(error);
  }
  const catalogue = createCatalogue(engine, roster);
  const gauge = createGauge(engine, showTrouble);
  gauge.watch((reading) => strip.read(reading));
  roster.update('', { state: 'ready', tier: 'gpu', bytes: baseBytes });
  loading.done();
  everyone.start(engine, catalogue);
  chat.start(engine);
  thousand.start(engine, gauge);
  add.start(catalogue);
  announce('The model is loaded');
  void follow(engine, catalogue, gauge);
  try {
    await catalogue.open();
    thousand.place(await catalogue.refresh());
    await showDevice(engine);
  } catch (error) {
    showTrouble(error);
  }
}

/** Draws what the engine tells of itself until it ends. */
async function follow(engine: PageEngine, catalogue: Catalogue, gauge: Gauge): Promise<void> {
  try {
    for await (const event of engine.events()) {
      measured('event', () => strip.push(event));
      gauge.tick();
      catalogue.hear(event.adapters);
      if (event.adapters.length > 0) thousand.place(await catalogue.refresh());
    }
  } catch (error) {
    showTrouble(error);
  }
}

async function showDevice(engine: PageEngine): Promise<void> {
  const [stats, model] = await Promise.all([engine.stats(), engine.model()]);
  nextFrame(() => setText(find('device', HTMLElement), deviceInWords(stats, model)));
}

function deviceInWords({ device, software, precision, gpuBytes }: Stats, { maxModelLength }: ModelInfo): string {
  const where = software ? `${device}, in software` : device;
  return [where, `${precision} precision`, `${maxModelLength} tokens of context`, `${bytesInWords(gpuBytes)} of memory`].join(' · ');
}
