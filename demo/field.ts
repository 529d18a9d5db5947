import { on } from './dom.ts';
import { measured } from './frame.ts';

/** Enter sends, Shift+Enter starts a line; an input method that is composing keeps its Enter. The field grows with its text. */
export function sendOnEnter(field: HTMLTextAreaElement, form: HTMLFormElement): void {
  on<KeyboardEvent>(field, 'keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
}

/** Calls `send` when the form is submitted, which never leaves the page. */
export function onSubmit(form: HTMLFormElement, send: () => void): void {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    measured('submit', send);
  });
}

/** Buttons that put a message into the field. */
export function offerExamples(
  into: HTMLElement,
  field: HTMLTextAreaElement,
  examples: readonly { readonly label: string; readonly message: string }[],
): void {
  for (const { label, message } of examples) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'chip';
    button.textContent = label;
    button.title = message;
    on(button, 'click', () => {
      field.value = message;
      field.focus();
    });
    into.append(button);
  }
}

const announcer = (): HTMLElement => document.getElementById('announce')!;

/** Tells those who listen to the page rather than look at it. */
export function announce(words: string): void {
  announcer().textContent = words;
}
