import { malformedGguf } from './gguf-cursor.ts';
import type { GgufCursor, Parsing } from './gguf-cursor.ts';

/** A list of the metadata: numbers come in the typed array of their type, those of 64 bits, all exact, in a Float64Array. */
export type GgufList =
  | readonly string[]
  | readonly boolean[]
  | readonly GgufList[]
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** A value of the metadata. */
export type GgufValue = string | number | boolean | GgufList;

const BOOL = 7;
const TEXT = 8;
const LIST = 9;
/** Lists in lists in lists…: no model has more than two. */
const DEEPEST = 8;
// Values that take far more memory than bytes of the file; a model has hundreds of them at most.
const MOST_LISTS = 1 << 16;
const MOST_BOOLEANS = 1 << 16;
const LONGEST_NAME = 65_535;

/** Lists, and booleans in lists, of a header so far. */
export interface GgufTally {
  lists: number;
  booleans: number;
}

interface NumberType {
  readonly bytes: number;
  one(cursor: GgufCursor): number;
  /** All numbers of these bytes, in memory of their own; undefined where each must be looked at. */
  all?(bytes: Uint8Array<ArrayBuffer>): GgufList;
}

/** Number types by the format's number for them. */
const NUMBERS: ReadonlyMap<number, NumberType> = new Map<number, NumberType>([
  [0, { bytes: 1, one: (cursor) => cursor.u8(), all: (bytes) => bytes }],
  [1, { bytes: 1, one: (cursor) => cursor.i8(), all: ({ buffer }) => new Int8Array(buffer) }],
  [2, { bytes: 2, one: (cursor) => cursor.u16(), all: ({ buffer }) => new Uint16Array(buffer) }],
  [3, { bytes: 2, one: (cursor) => cursor.i16(), all: ({ buffer }) => new Int16Array(buffer) }],
  [4, { bytes: 4, one: (cursor) => cursor.u32(), all: ({ buffer }) => new Uint32Array(buffer) }],
  [5, { bytes: 4, one: (cursor) => cursor.i32(), all: ({ buffer }) => new Int32Array(buffer) }],
  [6, { bytes: 4, one: (cursor) => cursor.f32(), all: ({ buffer }) => new Float32Array(buffer) }],
  [10, { bytes: 8, one: (cursor) => cursor.u64() }],
  [11, { bytes: 8, one: (cursor) => cursor.i64() }],
  [12, { bytes: 8, one: (cursor) => cursor.f64(), all: ({ buffer }) => new Float64Array(buffer) }],
]);

/** Text behind its length of 8 bytes. */
export function* parseText(cursor: GgufCursor): Parsing<string> {
  if (cursor.left < 8) yield 8;
  const length = cursor.u64();
  if (cursor.left < length) yield length;
  return cursor.text(length);
}

/** A key or a tensor's name. Throws `gguf_header` for one that is longer than the format allows. */
export function* parseName(cursor: GgufCursor): Parsing<string> {
  if (cursor.left < 8) yield 8;
  const length = cursor.u64();
  if (length > LONGEST_NAME) {
    throw malformedGguf(cursor.location, `${cursor.reading} would have ${length} bytes; the format allows ${LONGEST_NAME}`);
  }
  if (cursor.left < length) yield length;
  return cursor.text(length);
}

function readBoolean(cursor: GgufCursor): boolean {
  const byte = cursor.u8();
  if (byte > 1) throw malformedGguf(cursor.location, `${cursor.reading} is the boolean ${byte}; it must be 0 or 1`);
  return byte === 1;
}

/** A value of the type with this number. `tally` is of the whole header. Throws `gguf_header`. */
export function* parseValue(cursor: GgufCursor, type: number, tally: GgufTally): Parsing<GgufValue> {
  const number = NUMBERS.get(type);
  if (number) {
    if (cursor.left < number.bytes) yield number.bytes;
    return number.one(cursor);
  }
  if (type === TEXT) return yield* parseText(cursor);
  if (type === LIST) return yield* parseList(cursor, tally, 1);
  if (type !== BOOL) throw unknownType(cursor, type);
  if (cursor.left < 1) yield 1;
  return readBoolean(cursor);
}

function unknownType(cursor: GgufCursor, type: number): Error {
  return malformedGguf(cursor.location, `${cursor.reading} has the unknown type ${type}; the format has 0 to 12`);
}

function* parseList(cursor: GgufCursor, tally: GgufTally, depth: number): Parsing<GgufList> {
  if (depth > DEEPEST) throw malformedGguf(cursor.location, `${cursor.reading} has lists in lists, more than ${DEEPEST} deep`);
  tally.lists++;
  if (tally.lists > MOST_LISTS) throw malformedGguf(cursor.location, `its header has more than ${MOST_LISTS} lists`);
  if (cursor.left < 12) yield 12;
  const type = cursor.u32();
  const count = cursor.u64();
  const number = NUMBERS.get(type);
  if (number) return yield* parseNumbers(cursor, number, count);
  // What the shortest items would take: a count that cannot be true is refused before anything is read for it.
  if (type === TEXT) cursor.require(count * 8);
  else if (type === LIST) cursor.require(count * 12);
  else if (type !== BOOL) throw unknownType(cursor, type);
  if (type === BOOL) return yield* parseBooleans(cursor, count, tally);
  if (type === TEXT) {
    const texts: string[] = [];
    while (texts.length < count) texts.push(yield* parseText(cursor));
    return texts;
  }
  const lists: GgufList[] = [];
  while (lists.length < count) lists.push(yield* parseList(cursor, tally, depth + 1));
  return lists;
}

function* parseNumbers(cursor: GgufCursor, type: NumberType, count: number): Parsing<GgufList> {
  const bytes = count * type.bytes;
  if (cursor.left < bytes) yield bytes;
  if (type.all) return type.all(cursor.take(bytes));
  const numbers = new Float64Array(count);
  for (let i = 0; i < count; i++) numbers[i] = type.one(cursor);
  return numbers;
}

function* parseBooleans(cursor: GgufCursor, count: number, tally: GgufTally): Parsing<readonly boolean[]> {
  tally.booleans += count;
  if (tally.booleans > MOST_BOOLEANS) {
    throw malformedGguf(cursor.location, `${cursor.reading} has ${count} booleans; a header may have ${MOST_BOOLEANS} in lists`);
  }
  if (cursor.left < count) yield count;
  const booleans: boolean[] = [];
  while (booleans.length < count) booleans.push(readBoolean(cursor));
  return booleans;
}
