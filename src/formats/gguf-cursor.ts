import { WebLoraError } from '../errors.ts';
import { fileTruncated } from './folder-contract.ts';

/** A parse that stops, with the number of bytes it needs next, wherever the bytes at hand do not reach; it goes on when they are there. */
export type Parsing<T> = Generator<number, T, undefined>;

/** Far more than the largest vocabularies take (some 20 MB), and little enough to be held as text. */
export const LONGEST_GGUF_HEADER = 64 << 20;

const FIRST_SLICE = 256 << 10;
const LARGEST_SLICE = 4 << 20;

/** The error for a header that is not what the format says. */
export function malformedGguf(location: string, what: string): WebLoraError {
  return new WebLoraError('gguf_header', `${location}: ${what}.`);
}

/** Where a parse is in a file, and the bytes from there on that have been read. Readers of numbers and text need their bytes at hand. */
export class GgufCursor {
  readonly location: string;
  /** Bytes of the whole file. */
  readonly size: number;
  /** What is being read, for messages. */
  reading = 'its beginning';
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  #start = 0;
  // A byte order mark is a token of many vocabularies: it stays.
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(location: string, size: number) {
    this.location = location;
    this.size = size;
  }

  /** The byte of the file that is read next. */
  get position(): number {
    return this.#start + this.#at;
  }

  /** Bytes at hand. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Bytes of the file that are not read yet. */
  get rest(): number {
    return this.size - this.position;
  }

  /** Adds the bytes of the file that follow those at hand. */
  append(more: Uint8Array<ArrayBuffer>): void {
    const left = this.#bytes.subarray(this.#at);
    const joined = new Uint8Array(left.length + more.length);
    joined.set(left);
    joined.set(more, left.length);
    this.#start += this.#at;
    this.#at = 0;
    this.#bytes = joined;
    this.#view = new DataView(joined.buffer);
  }

  /** Checks that so many bytes can still come. Throws `file_truncated` or `gguf_header`. */
  require(count: number): void {
    if (count > this.rest) {
      throw new WebLoraError(
        'file_truncated',
        `${this.location} has ${this.size} bytes, but ${this.reading} at byte ${this.position} takes ${count}: the file was cut short or is ` +
          'damaged; download or copy it again.',
      );
    }
    if (this.position + count > LONGEST_GGUF_HEADER) {
      throw malformedGguf(
        this.location,
        `${this.reading} would make its header longer than ${LONGEST_GGUF_HEADER} bytes: this is no model's header`,
      );
    }
  }

  /** So many bytes, in memory of their own. */
  take(count: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(this.#at, (this.#at += count));
  }

  u8(): number {
    return this.#view.getUint8(this.#at++);
  }

  i8(): number {
    return this.#view.getInt8(this.#at++);
  }

  u16(): number {
    return this.#view.getUint16((this.#at += 2) - 2, true);
  }

  i16(): number {
    return this.#view.getInt16((this.#at += 2) - 2, true);
  }

  u32(): number {
    return this.#view.getUint32((this.#at += 4) - 4, true);
  }

  i32(): number {
    return this.#view.getInt32((this.#at += 4) - 4, true);
  }

  f32(): number {
    return this.#view.getFloat32((this.#at += 4) - 4, true);
  }

  f64(): number {
    return this.#view.getFloat64((this.#at += 8) - 8, true);
  }

  /** Throws `gguf_header` for numbers that a JS number does not hold exactly. */
  u64(): number {
    const low = this.u32();
    const value = this.u32() * 2 ** 32 + low;
    if (!Number.isSafeInteger(value)) throw this.#beyond();
    return value;
  }

  /** Throws `gguf_header` for numbers that a JS number does not hold exactly. */
  i64(): number {
    const low = this.u32();
    const value = this.i32() * 2 ** 32 + low;
    if (!Number.isSafeInteger(value)) throw this.#beyond();
    return value;
  }

  /** UTF-8 of so many bytes. Throws `gguf_header`. */
  text(length: number): string {
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    try {
      const text = this.#decoder.decode(bytes);
      this.#at += length;
      return text;
    } catch (cause) {
      throw new WebLoraError('gguf_header', `${this.location}: ${this.reading} at byte ${this.position} is not valid UTF-8.`, { cause });
    }
  }

  #beyond(): WebLoraError {
    return malformedGguf(this.location, `${this.reading} at byte ${this.position - 8} is a number beyond 2^53`);
  }
}

/**
 * Runs a parse over the beginning of a file; `read` gets the bytes of it, in slices that grow.
 *
 * Throws `file_truncated`, `gguf_header`, and what `read` and the parse throw.
 */
export async function parseSlices<T>(
  cursor: GgufCursor,
  parsing: Parsing<T>,
  read: (start: number, end: number) => Promise<Uint8Array<ArrayBuffer>>,
): Promise<T> {
  let slice = FIRST_SLICE;
  for (let step = parsing.next(); ; step = parsing.next()) {
    if (step.done) return step.value;
    cursor.require(step.value);
    const start = cursor.position + cursor.left;
    const end = Math.min(cursor.size, Math.max(start + slice, cursor.position + step.value));
    const bytes = await read(start, end);
    if (bytes.length < end - start) throw fileTruncated(cursor.location, end, start + bytes.length);
    cursor.append(bytes);
    slice = Math.min(2 * slice, LARGEST_SLICE);
  }
}
