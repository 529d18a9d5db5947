import { ask } from './answer.ts';
import { find, on, say, setText } from './dom.ts';
import type { PageEngine } from './engine.ts';
import { announce, offerExamples, onSubmit, sendOnEnter } from './field.ts';
import { nextFrame } from './frame.ts';
import { examples } from './frontdesk.ts';
import type { Roster } from './roster.ts';
import { asMessages, createTurn, type Turn } from './turns.ts';
import { createVoiceList, type VoiceList } from './voices.ts';

/** A conversation in which every turn may be answered by another voice. */
export interface ChatView {
  start(engine: PageEngine): void;
  stop(): void;
}

interface View {
  readonly form: HTMLFormElement;
  readonly field: HTMLTextAreaElement;
  readonly send: HTMLButtonElement;
  readonly fresh: HTMLButtonElement;
  readonly error: HTMLElement;
  readonly scroller: HTMLElement;
  readonly list: HTMLElement;
  readonly empty: HTMLElement;
  readonly voices: VoiceList;
  turns: Turn[];
  engine: PageEngine | undefined;
  running: AbortController | undefined;
}

/** Pixels from the end within which new text keeps the end in view; further up someone is reading. */
const NEAR_END = 48;

export function createChatView(roster: Roster): ChatView {
  const view: View = {
    form: find('chat-form', HTMLFormElement),
    field: find('chat-message', HTMLTextAreaElement),
    send: find('chat-send', HTMLButtonElement),
    fresh: find('chat-new', HTMLButtonElement),
    error: find('chat-error', HTMLElement),
    scroller: find('turns', HTMLElement),
    list: find('turn-list', HTMLElement),
    empty: find('chat-empty', HTMLElement),
    voices: createVoiceList(roster, () => nextFrame(render)),
    turns: [],
    engine: undefined,
    running: undefined,
  };
  const render = (): void => renderControls(view);
  const stop = (): void => view.running?.abort();

  offerExamples(find('chat-examples', HTMLElement), view.field, examples);
  sendOnEnter(view.field, view.form);
  onSubmit(view.form, () => {
    if (!view.running) sendMessage(view, render);
  });
  on(view.send, 'click', (event) => {
    if (!view.running) return;
    event.preventDefault();
    stop();
  });
  on(view.fresh, 'click', () => {
    stop();
    view.turns = [];
    view.list.replaceChildren();
    say(view.error, undefined);
    nextFrame(render);
    view.field.focus();
  });
  keepEndOnResize(view.scroller);
  return {
    start: (engine) => {
      view.engine = engine;
      nextFrame(render);
    },
    stop,
  };
}

function sendMessage(view: View, render: () => void): void {
  const { engine, turns, field } = view;
  const voice = view.voices.chosen();
  const message = field.value.trim();
  if (!engine || !voice) return;
  say(view.error, message === '' ? 'There is no message yet: write one first.' : undefined);
  if (message === '') return;
  const running = new AbortController();
  const { answer, ended } = ask(engine, {
    messages: asMessages(turns, message),
    voice: voice.id,
    signal: running.signal,
    onChange: () => nextFrame(show),
  });
  const turn: Turn = { message, voice, answer };
  const onPage = createTurn(turn);
  const show = (): void => keepEnd(view.scroller, () => onPage.show());
  view.running = running;
  turns.push(turn);
  field.value = '';
  nextFrame(() => {
    view.list.append(...onPage.elements);
    onPage.show();
    view.scroller.scrollTop = view.scroller.scrollHeight;
  });
  render();
  void ended.then(() => {
    if (view.running === running) view.running = undefined;
    if (answer.state === 'done') announce(`${voice.name} answered: ${answer.text}`);
    if (answer.state === 'stopped') announce('Stopped');
    nextFrame(render);
  });
}

const isAtEnd = ({ scrollHeight, scrollTop, clientHeight }: HTMLElement): boolean => scrollHeight - scrollTop - clientHeight < NEAR_END;

/** A keyboard that slides in or a window that shrinks leaves the end of the conversation in view. */
function keepEndOnResize(scroller: HTMLElement): void {
  let atEnd = true;
  on(scroller, 'scroll', () => {
    atEnd = isAtEnd(scroller);
  });
  new ResizeObserver(() => {
    if (atEnd) scroller.scrollTop = scroller.scrollHeight;
  }).observe(scroller);
}

/** Writes, and stays at the end of the conversation if that is where it was. */
function keepEnd(scroller: HTMLElement, write: () => void): void {
  const atEnd = isAtEnd(scroller);
  write();
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
}

function renderControls({ send, fresh, field, empty, turns, engine, running, voices }: View): void {
  const voice = voices.chosen();
  setText(send, running ? 'Stop' : engine ? 'Send' : 'Loading');
  send.classList.toggle('stopping', running !== undefined);
  send.disabled = engine === undefined;
  fresh.disabled = turns.length === 0;
  empty.hidden = turns.length > 0;
  const name = voice?.name ?? 'the base';
  field.placeholder = `Message to ${name}`;
  setText(find('chat-label', HTMLElement), `Message to ${name}`);
  setText(find('talk-with', HTMLElement), `${name} answers next`);
}
