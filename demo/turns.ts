import type { Message } from 'weblora';
import type { Answer } from './answer.ts';
import { make, say, setText } from './dom.ts';
import type { Voice } from './roster.ts';
import { tintElement } from './tint.ts';
import { count, rateInWords } from './words.ts';

/** A message and its answer, with the name of whoever gave it. */
export interface Turn {
  readonly message: string;
  /** As it was then: later choices do not change who said this. */
  readonly voice: Voice;
  readonly answer: Answer;
}

/** What a conversation so far and a new message are to the model. Answers that never began are left out with their question. */
export function asMessages(turns: readonly Turn[], message: string): Message[] {
  const before = turns
    .filter(({ answer }) => answer.text !== '')
    .flatMap((turn): Message[] => [
      { role: 'user', content: turn.message },
      { role: 'assistant', content: turn.answer.text },
    ]);
  return [...before, { role: 'user', content: message }];
}

/** The two bubbles of a turn; `show` writes what has changed. */
export interface TurnOnPage {
  readonly elements: readonly HTMLElement[];
  show(): void;
}

export function createTurn({ message, voice, answer }: Turn): TurnOnPage {
  const mine = make('li', 'turn mine', make('p', 'unseen', 'You'), make('p', 'bubble', message));
  const text = document.createTextNode('');
  const waiting = make('span', 'waiting', make('span'), make('span'), make('span'));
  const bubble = make('p', `bubble ${voice.face}`, text, waiting);
  const trouble = make('p', 'said error');
  const figures = make('span', 'turn-figures figures');
  const who = make('p', 'turn-who', make('span', 'cell'), make('span', 'turn-name', voice.name), figures);
  const theirs = make('li', 'turn theirs tinted', who, bubble, trouble);
  theirs.dataset['voice'] = voice.id;
  tintElement(theirs, voice.hue);
  return {
    elements: [mine, theirs],
    show: () => {
      if (text.data !== answer.text) text.data = answer.text;
      theirs.dataset['state'] = answer.state;
      waiting.hidden = answer.state !== 'waiting';
      bubble.hidden = answer.text === '' && answer.state !== 'waiting' && answer.state !== 'streaming';
      setText(figures, inFigures(answer));
      say(trouble, inTrouble(answer));
    },
  };
}

function inFigures({ tokens, rate, state }: Answer): string {
  const parts = [tokens > 0 ? count(tokens, 'token') : '', rate === undefined ? '' : `${rateInWords(rate)}/s`];
  return [...parts, state === 'stopped' ? 'stopped' : ''].filter((part) => part !== '').join(' · ');
}

function inTrouble({ trouble, code, finish }: Answer): string | undefined {
  if (code === 'context_length_exceeded') return `${trouble} Start a new conversation to go on.`;
  if (finish === 'length')
    return 'The conversation has filled the model’s context, so this answer ends here. Start a new conversation to go on.';
  return trouble;
}
