import type { GenerateOptions, Generation, Prompt } from '../engine/types.ts';

/** Keeps calls in order while a request is on its way to the engine: checked, tokenized, or its code not even loaded. */
export interface Order {
  /** Calls at once, or when every `begin` before it has settled. */
  after<T>(call: () => Promise<T>): Promise<T>;
  /** The same, and what is called later waits for it. */
  begin<T>(call: () => Promise<T>): Promise<T>;
  /** `generate`, which gives its generation at once in any case. */
  generation(generate: (prompt: Prompt, options?: GenerateOptions) => Generation, prompt: Prompt, options?: GenerateOptions): Generation;
}

/** An order in which nothing has begun. */
export function createOrder(): Order {
  let last: Promise<unknown> | undefined;
  const after = <T>(call: () => Promise<T>): Promise<T> => (last === undefined ? call() : last.then(call));
  return {
    after,
    begin: (call) => {
      const begun = after(call);
      const settled = begun.then(nothing, nothing);
      last = settled;
      // The first reaction to it: whoever waits finds the way free, and nobody can come in between.
      void settled.then(() => {
        if (last === settled) last = undefined;
      });
      return begun;
    },
    generation: (generate, prompt, options) => {
      if (last === undefined) return generate(prompt, options);
      // The caller may go on with its own list.
      const own = Array.isArray(prompt) ? (prompt.slice() as Prompt) : prompt;
      return deferred(last.then(() => generate(own, options)));
    },
  };
}

const nothing = (): void => undefined;

function deferred(promise: Promise<Generation>): Generation {
  return {
    result: async () => (await promise).result(),
    [Symbol.asyncIterator]: () => {
      const inner = promise.then((generation) => generation[Symbol.asyncIterator]());
      return {
        next: async () => (await inner).next(),
        return: async () => (await (await inner).return?.()) ?? { done: true, value: undefined },
      };
    },
  };
}
