import { createReadStream } from 'node:fs';
import { open, realpath, rename, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { WebLoraError } from '../errors.ts';
import { writeText } from './cli-host.ts';
import type { Host } from './cli-host.ts';

/** Where records go. */
export interface RecordOutput {
  write(text: string): Promise<void>;
  /** All is written: the file gets its name. */
  finish(): Promise<void>;
  /** Ends before all was written. Returns the file in which the records so far are kept, or undefined where there are none. */
  abandon(): Promise<string | undefined>;
}

/** The bytes of a file, or of standard input for `-`; the file is opened when they are read. Throws `file_missing`, `file_unreadable`. */
export async function openInput(path: string, host: Host): Promise<AsyncIterable<Uint8Array>> {
  if (path === '-') return host.stdin;
  try {
    const handle = await open(path, 'r');
    const folder = (await handle.stat()).isDirectory();
    await handle.close();
    if (folder) throw new WebLoraError('file_unreadable', `${path}: a folder, not a file of requests`);
    return readFile(path);
  } catch (error) {
    throw fileError(path, 'read', error);
  }
}

async function* readFile(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw fileError(path, 'read', error);
  }
}

/**
 * Opens the output, before anything costly is started. A file is written beside its place as `PATH.partial` and moved there once
 * it is complete, so that an older one stays whole until then; devices and pipes are written directly. Throws `file_missing`,
 * `file_unreadable`, and `file_invalid` where it is the input itself.
 */
export async function openOutput(path: string, input: string, host: Host): Promise<RecordOutput> {
  if (path === '-') return streamOutput(host.stdout);
  try {
    const old = await stat(path).catch(undefinedIfMissing);
    if (old !== undefined && input !== '-') {
      const source = await stat(input).catch(undefinedIfMissing);
      if (source !== undefined && source.ino === old.ino && source.dev === old.dev) {
        throw new WebLoraError('file_invalid', `${path}: input and output are the same file: give the records another name`);
      }
    }
    if (old?.isDirectory() === true) throw new WebLoraError('file_unreadable', `${path}: a folder, not a file to write to`);
    if (old !== undefined && !old.isFile()) return handleOutput(path, await open(path, 'w'));
    // A link keeps its place: what it points to is replaced. Opening it shows whether it may be.
    if (old !== undefined) await (await open(path, 'r+')).close();
    const target = old === undefined ? path : await realpath(path);
    return await fileOutput(target);
  } catch (error) {
    throw fileError(path, 'write', error);
  }
}

function streamOutput(stream: NodeJS.WritableStream): RecordOutput {
  return { write: (text) => writeText(stream, text), finish: async () => undefined, abandon: async () => undefined };
}

function handleOutput(path: string, handle: FileHandle): RecordOutput {
  return {
    write: (text) => handle.appendFile(text).catch((error: unknown) => Promise.reject(fileError(path, 'write', error))),
    finish: () => handle.close(),
    abandon: async () => {
      await handle.close();
      return undefined;
    },
  };
}

async function fileOutput(target: string): Promise<RecordOutput> {
  const partial = `${target}.partial`;
  const handle = await open(partial, 'w');
  let size = 0;
  return {
    write: async (text) => {
      try {
        await handle.appendFile(text);
        size += text.length;
      } catch (error) {
        throw fileError(partial, 'write', error);
      }
    },
    finish: async () => {
      try {
        await handle.sync();
        await handle.close();
        await rename(partial, target);
      } catch (error) {
        throw fileError(target, 'write', error);
      }
    },
    abandon: async () => {
      await handle.close().catch(() => undefined);
      if (size > 0) return partial;
      await unlink(partial).catch(() => undefined);
      return undefined;
    },
  };
}

function undefinedIfMissing(error: unknown): undefined {
  if (errorCode(error) === 'ENOENT') return undefined;
  throw error;
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function fileError(path: string, doing: 'read' | 'write', cause: unknown): unknown {
  if (cause instanceof WebLoraError) return cause;
  const code = errorCode(cause);
  if (code === 'ENOENT') {
    const what = doing === 'read' ? 'there is no such file' : 'there is no such folder to write to';
    return new WebLoraError('file_missing', `${path}: ${what}`, { cause });
  }
  return new WebLoraError('file_unreadable', `${path}: cannot ${doing} it (${String(code ?? cause)})`, { cause });
}
