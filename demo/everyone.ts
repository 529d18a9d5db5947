import { ask, type Answer } from './answer.ts';
import { createCard, type Card } from './card.ts';
import type { Catalogue } from './catalogue.ts';
import { find, make, on, say, setText } from './dom.ts';
import type { PageEngine } from './engine.ts';
import { announce, offerExamples, onSubmit, sendOnEnter } from './field.ts';
import { nextFrame } from './frame.ts';
import { examples } from './frontdesk.ts';
import type { Roster, Voice } from './roster.ts';
import { count, errorInWords } from './words.ts';

/** One message, all voices at once, a card for each. */
export interface EveryoneView {
  /** From here on messages are answered. */
  start(engine: PageEngine, catalogue: Catalogue): void;
  stop(): void;
}

interface Running {
  readonly control: AbortController;
  left: number;
}

interface View {
  readonly roster: Roster;
  readonly form: HTMLFormElement;
  readonly field: HTMLTextAreaElement;
  readonly send: HTMLButtonElement;
  readonly error: HTMLElement;
  readonly list: HTMLUListElement;
  readonly cards: Map<string, Card>;
  readonly answers: Map<string, Answer>;
  readonly changed: Set<string>;
  engine: PageEngine | undefined;
  catalogue: Catalogue | undefined;
  running: Running | undefined;
}

/** @param onAdd opens what adds an adapter. */
export function createEveryoneView(roster: Roster, onAdd: () => void): EveryoneView {
  const view: View = {
    roster,
    form: find('everyone-form', HTMLFormElement),
    field: find('everyone-message', HTMLTextAreaElement),
    send: find('everyone-send', HTMLButtonElement),
    error: find('everyone-error', HTMLElement),
    list: find('cards', HTMLUListElement),
    cards: new Map(),
    answers: new Map(),
    changed: new Set(),
    engine: undefined,
    catalogue: undefined,
    running: undefined,
  };
  const more = make(
    'button',
    'card-add',
    make('span', 'card-add-sign', '+'),
    'Add an adapter',
    make('small', '', 'by address, or drop its folder'),
  );
  more.type = 'button';
  on(more, 'click', onAdd);
  view.list.append(make('li', 'card-more', more));

  const stop = (): void => view.running?.control.abort();
  offerExamples(find('everyone-examples', HTMLElement), view.field, examples);
  view.field.value = examples[0]!.message;
  sendOnEnter(view.field, view.form);
  onSubmit(view.form, () => {
    if (!view.running) askEveryone(view);
  });
  // Stopping is the same button, so that the focus stays where it is.
  on(view.send, 'click', (event) => {
    if (!view.running) return;
    event.preventDefault();
    stop();
  });
  roster.watch(() => nextFrame(render));
  const render = (): void => renderCards(view);

  return {
    start: (engine, catalogue) => {
      view.engine = engine;
      view.catalogue = catalogue;
      nextFrame(() => showButton(view));
    },
    stop,
  };
}

/** Those who are asked: an adapter that still loads answers when it is there. */
const askable = (roster: Roster): readonly Voice[] => roster.all().filter(({ state }) => state !== 'failed');

function askEveryone(view: View): void {
  const { engine, roster, field, answers } = view;
  const message = field.value.trim();
  if (!engine) return;
  say(view.error, message === '' ? 'There is no message yet: write one, or take an example.' : undefined);
  if (message === '') return;
  const voices = askable(roster);
  const running: Running = { control: new AbortController(), left: voices.length };
  const began = performance.now();
  view.running = running;
  answers.clear();
  for (const id of view.cards.keys()) view.changed.add(id);
  for (const { id } of voices) {
    const { signal } = running.control;
    const { answer, ended } = ask(engine, {
      messages: [{ role: 'user', content: message }],
      voice: id,
      signal,
      onChange: () => touch(view, id),
    });
    answers.set(id, answer);
    void ended.then(() => {
      if (--running.left === 0) finish(view, began);
    });
  }
  nextFrame(() => showAnswers(view));
  showButton(view);
  announce(`Asked ${voices.length}`);
}

function finish(view: View, began: number): void {
  view.running = undefined;
  const states = [...view.answers.values()].map(({ state }) => state);
  const done = states.filter((state) => state === 'done').length;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  announce(states.includes('stopped') ? `Stopped; ${count(done, 'answer')} complete` : `${count(done, 'answer')} in ${seconds} seconds`);
  nextFrame(() => showButton(view));
}

function touch(view: View, id: string): void {
  if (view.changed.size === 0) nextFrame(() => showAnswers(view));
  view.changed.add(id);
}

function showAnswers(view: View): void {
  for (const id of view.changed) {
    const voice = view.roster.get(id);
    if (voice) view.cards.get(id)?.show(voice, view.answers.get(id));
  }
  view.changed.clear();
}

function renderCards(view: View): void {
  const { roster, cards, list, answers } = view;
  for (const [id, card] of cards) {
    if (roster.get(id)) continue;
    card.element.remove();
    cards.delete(id);
    answers.delete(id);
  }
  for (const voice of roster.all()) {
    let card = cards.get(voice.id);
    if (!card) {
      const { id } = voice;
      card = createCard(voice, { retry: () => void view.catalogue?.retry(id), remove: () => void removeVoice(view, id) });
      cards.set(id, card);
      list.insertBefore(card.element, list.lastElementChild);
    }
    card.show(voice, answers.get(voice.id));
  }
  showButton(view);
}

async function removeVoice(view: View, id: string): Promise<void> {
  try {
    await view.catalogue?.remove(id);
    announce(`${id} was removed`);
    view.field.focus();
  } catch (error) {
    view.roster.update(id, { state: 'failed', trouble: errorInWords(error) });
  }
}

function showButton({ send, engine, running, roster }: View): void {
  setText(send, running ? 'Stop' : engine ? `Ask all ${askable(roster).length}` : 'Loading');
  send.classList.toggle('stopping', running !== undefined);
  send.disabled = engine === undefined;
}
