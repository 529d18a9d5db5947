import type { Prompt, Source } from '../engine/types.ts';
import { isFileBytes } from '../formats/file-bytes.ts';
import type { FileBytes } from '../formats/file-bytes.ts';
import { isHubId } from '../formats/hub-id.ts';
import type { WireError } from './errors.ts';
import type { WorkerLike } from './types.ts';

/**
 * On the worker itself, beside whatever the app sends there. The page says `hello` when it connects, and again when the worker says
 * `ready`: whichever of them is late, one is heard. All that follows travels on the port that comes with `here`.
 */
export type Greeting =
  | { readonly weblora: 'ready' }
  | { readonly weblora: 'hello'; readonly session: string }
  /** The page gave up before it was answered: the next one may connect. */
  | { readonly weblora: 'bye'; readonly session: string }
  /** `lock`: whether the worker holds a Web Lock under the session's name, which nobody gets while the worker lives. */
  | { readonly weblora: 'here'; readonly session: string; readonly port: MessagePort; readonly lock: 'held' | 'none' }
  | { readonly weblora: 'taken'; readonly session: string };

/** Says it to the other side. */
export function say(to: WorkerLike, greeting: Greeting, transfer: Transferable[] = []): void {
  to.postMessage(greeting, { transfer });
}

/**
 * A source that structured clone carries. A clone of a File may lose its path (Safari), or even its
 * name (Node): it goes beside.
 */
export type WireSource = string | { readonly files: readonly File[]; readonly paths: readonly string[] } | { readonly bytes: FileBytes };

/** What `createEngine` takes and a message can carry; functions are told of, and called by messages. */
export interface WireOptions {
  readonly plain: object;
  readonly model: WireSource;
  readonly calls: readonly ('onProgress' | 'resolve')[];
  /** Where the page is: relative addresses are meant from there, not from the worker's script. */
  readonly base: string | undefined;
}

/** A callback that was given with a call: it is called by messages, the last of which comes before the answer. */
export type Callbacks = readonly 'onProgress'[];

/** The calls and their arguments. A signal never crosses: every call can be ended by `abort`. */
export interface Calls {
  create: [options: WireOptions];
  close: [];
  generate: [prompt: Prompt, options: object];
  tokenize: [prompt: Prompt];
  model: [];
  stats: [];
  events: [];
  'adapters.add': [id: string, source: WireSource, options: unknown];
  'adapters.load': [id: string, options: object, calls: Callbacks];
  'adapters.pin': [id: string, options: object, calls: Callbacks];
  'adapters.unpin': [id: string];
  'adapters.unload': [id: string];
  'adapters.remove': [id: string];
  'adapters.list': [options: unknown];
  'models.list': [];
  'chat.completions.create': [body: string | undefined, options: object];
  'completions.create': [body: string | undefined, options: object];
}

/** The answer to a call. `stream`: what follows travels as `next`, then `end` or `fail`. `reason`: it was aborted, and threw that. */
export type Reply = { readonly ok: unknown } | { readonly stream: true } | { readonly error: WireError | 'reason' };

/** What comlink exposes in the worker. */
export interface Host {
  call(id: number, name: keyof Calls, args: readonly unknown[]): Promise<Reply>;
}

/** Worker to page; `id` is that of the call, for `ask` that of the question. All of one turn travel in one message. */
export type ToPage =
  | { readonly id: number; readonly kind: 'next' | 'end' | 'progress'; readonly value: unknown }
  | { readonly id: number; readonly kind: 'fail'; readonly error: WireError | 'reason' }
  | { readonly id: number; readonly kind: 'ask'; readonly adapter: string }
  /** A message of the page could not be read. */
  | { readonly id: number; readonly kind: 'unread' };

/** Page to worker. `leave`: the page is done with this worker, answer or not. */
export type ToWorker =
  | { readonly kind: 'abort'; readonly id: number }
  | {
      readonly kind: 'answer';
      readonly id: number;
      readonly answer: { readonly ok: WireSource | undefined } | { readonly error: WireError };
    }
  | { readonly kind: 'leave' };

/** What is sent beside comlink's messages, which have no such field. */
export interface Envelope<Content> {
  readonly weblora: Content;
}

/** Throws `TypeError` for what no message carries. */
export function sourceToWire(source: Source): WireSource {
  if (typeof source === 'string') return source;
  if (source instanceof URL) return source.href;
  if (Array.isArray(source)) {
    const files = source as readonly File[];
    return { files, paths: files.map(pathOf) };
  }
  if (isFileBytes(source)) return { bytes: Object.fromEntries(Object.entries(source).map(([name, bytes]) => [name, onlyThese(bytes)])) };
  throw new TypeError(
    'Only a path, a URL, a hub id, a list of File objects or bytes by file name cross to the worker; a folder object of your own works with createEngine.',
  );
}

/** A clone of a view is one of all the memory behind it, so a part is copied out. */
function onlyThese(bytes: FileBytes[string]): FileBytes[string] {
  if (!ArrayBuffer.isView(bytes) || bytes.byteLength === bytes.buffer.byteLength) return bytes;
  return new Uint8Array(bytes);
}

/** The source as the page meant it: see `WireOptions.base`. */
export function sourceFromWire(wire: WireSource, base: string | undefined): Source {
  if (typeof wire === 'string') return fromPage(wire, base);
  if ('bytes' in wire) return wire.bytes;
  return wire.files.map((file, index) => {
    const path = wire.paths[index] ?? '';
    return pathOf(file) === path ? file : Object.defineProperty(file, 'webkitRelativePath', { value: path });
  });
}

const pathOf = (file: File): string => file.webkitRelativePath || file.name;

/** A relative address from the page's place; others, hub ids, and those that mean the same from here, stay as they were typed. */
function fromPage(text: string, base: string | undefined): string {
  if (text === '' || base === undefined || !/^https?:/i.test(base) || /^[a-z][a-z\d+.-]+:/i.test(text) || isHubId(text)) return text;
  const meant = new URL(text, base).href;
  const here = globalThis.location?.href;
  return here !== undefined && URL.canParse(text, here) && new URL(text, here).href === meant ? text : meant;
}
