import type { EngineOptions } from '../engine/types.ts';

// What an app of Node's sees too, which may know no type of a browser: nothing here has one that Node's own types lack.

/** A Worker, the scope inside of one, or a MessagePort. */
export interface WorkerLike {
  postMessage(message: unknown, options?: { readonly transfer?: object[] }): void;
  addEventListener(type: string, listener: (event: MessageEvent) => void): void;
  removeEventListener(type: string, listener: (event: MessageEvent) => void): void;
}

/** The options that cross, or are called by messages. */
export type ConnectOptions = Omit<EngineOptions, 'tokenizer' | 'gpu' | 'store'>;
