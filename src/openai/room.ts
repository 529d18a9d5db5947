import { MAX_CHOICES } from './request.ts';

/**
 * Answers that a batch asks of the engine at once by default: several times what runs at once, so that steps stay full and the engine
 * can choose among the adapters that wait, and a small part of its queue, which other callers need too.
 */
export const OPEN_ANSWERS = 512;

/** Room among the answers that are open, for one who waits. */
export class Room {
  readonly #most: number;
  #open = 0;
  #wake: () => void = () => undefined;

  constructor(most: number) {
    this.#most = most;
  }

  /** Resolves when so many more may be open, or none is. */
  async take(answers: number): Promise<void> {
    while (this.#open > 0 && this.#open + answers > this.#most) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#open += answers;
  }

  give(answers: number): void {
    this.#open -= answers;
    this.#wake();
  }
}

/** How many answers a body asks for, as far as that can be told before it is checked; of wrong values, which are refused, one. */
export function answersOf(body: unknown): number {
  const { n, prompt } = (typeof body === 'object' && body !== null ? body : {}) as { readonly n?: unknown; readonly prompt?: unknown };
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length : 1;
  const each = Number.isInteger(n) && (n as number) >= 1 && (n as number) <= MAX_CHOICES ? (n as number) : 1;
  return prompts * each;
}
