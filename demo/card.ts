import type { Answer } from './answer.ts';
import { make, on, say, setText } from './dom.ts';
import { createFacts } from './facts.ts';
import type { Voice } from './roster.ts';
import { tintElement } from './tint.ts';
import { count, rateInWords } from './words.ts';

/** A voice and its answer on the page. */
export interface Card {
  readonly element: HTMLLIElement;
  readonly show: (voice: Voice, answer: Answer | undefined) => void;
}

export interface CardActions {
  readonly retry: () => void;
  readonly remove: () => void;
}

const endings = { waiting: 'waiting', streaming: '', done: '', stopped: 'stopped', failed: 'failed' } as const;

function figures(answer: Answer): string {
  const { tokens, rate, state, finish } = answer;
  const speed = rate === undefined ? '' : `${rateInWords(rate)} tokens/s`;
  const ending = finish === 'length' ? 'context full' : endings[state];
  return [tokens > 0 ? count(tokens, 'token') : '', speed, ending].filter((part) => part !== '').join(' · ');
}

/** @param actions what its buttons do; shown only where the voice's state has use for them. */
export function createCard(voice: Voice, actions: CardActions): Card {
  const name = make('h2', 'card-name', voice.name);
  const does = make('p', 'card-does', voice.does);
  const remove = make('button', 'card-remove', 'Remove');
  const line = createFacts('card-facts figures');
  const text = document.createTextNode('');
  const answerBox = make('p', `card-answer ${voice.face}`, text);
  const trouble = make('p', 'said error');
  const retry = make('button', 'button quiet small', 'Try again');
  const speed = make('p', 'card-speed figures');
  const cells = make('div', 'cells');
  const head = make('div', 'card-head', make('span', 'cell'), name, line.element);
  const about = make('div', 'card-about', does, ...(voice.from === 'person' ? [remove] : []));
  const element = make('li', 'card tinted', head, about, answerBox, trouble, retry, make('div', 'card-foot', cells, speed));
  element.dataset['voice'] = voice.id;
  remove.type = 'button';
  remove.setAttribute('aria-label', `Remove ${voice.name}`);
  retry.type = 'button';
  tintElement(element, voice.hue);
  does.title = voice.does;
  on(remove, 'click', actions.remove);
  on(retry, 'click', actions.retry);

  return {
    element,
    show: (now, answer) => {
      line.show(now);
      element.dataset['state'] = answer?.state ?? (now.state === 'ready' ? 'idle' : now.state);
      say(trouble, now.state === 'failed' ? now.trouble : (answer?.trouble ?? (now.from === 'person' ? now.unkept : undefined)));
      retry.hidden = now.state !== 'failed';
      const words = answer?.text ?? '';
      if (text.data !== words) text.data = words;
      setText(speed, answer ? figures(answer) : '');
      cells.style.setProperty('--tokens', String(answer?.tokens ?? 0));
    },
  };
}
