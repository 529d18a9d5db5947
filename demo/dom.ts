import { measured } from './frame.ts';

/** The element of that id, of the class asked for. Throws where the page's markup has no such element. */
export function find<T extends Element>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new TypeError(`index.html has no ${type.name} with the id ${id}`);
  return found;
}

/** A new element with a class and children; strings become text, never markup. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== '') element.className = className;
  element.append(...children);
  return element;
}

/** `addEventListener` with the handler's time measured under `page:<event>`. */
export function on<T extends Event>(target: EventTarget, type: string, handler: (event: T) => void): void {
  target.addEventListener(type, (event) => measured(type, () => handler(event as T)));
}

/** Sets text only where it changed: an equal write still costs a layout. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows words in an element that is hidden while there are none. */
export function say(element: HTMLElement, words: string | undefined): void {
  setText(element, words ?? '');
  element.hidden = words === undefined;
}
