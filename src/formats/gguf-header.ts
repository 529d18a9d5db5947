import { malformedGguf } from './gguf-cursor.ts';
import type { GgufCursor, Parsing } from './gguf-cursor.ts';
import { placeGgufTensors } from './gguf-tensors.ts';
import type { GgufTensor, TensorEntry } from './gguf-tensors.ts';
import { parseName, parseValue } from './gguf-values.ts';
import type { GgufValue } from './gguf-values.ts';
import { show } from './json.ts';

/** What the header of one file says. */
export interface GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of their bytes. */
  readonly tensors: readonly GgufTensor[];
}

const MAGIC = 0x46554747; // GGUF
const MOST_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;
// Far beyond any model; each takes more memory than bytes of the file.
const MOST_KEYS = 1 << 16;
const MOST_TENSORS = 1 << 18;

/**
 * The header of a file called `file`: from its first byte to its first tensor.
 *
 * Throws `file_truncated`, `gguf_header`, `gguf_offsets`, `tensor_dtype`, `tensor_shape`.
 */
export function* parseGgufHeader(cursor: GgufCursor, file: string): Parsing<GgufHeader> {
  const version = yield* parseVersion(cursor);
  if (cursor.left < 16) yield 16;
  const tensorCount = cursor.u64();
  const valueCount = cursor.u64();
  if (valueCount > MOST_KEYS) throw malformedGguf(cursor.location, `it says it has ${valueCount} keys; at most ${MOST_KEYS} are read`);
  if (tensorCount > MOST_TENSORS) {
    throw malformedGguf(cursor.location, `it says it has ${tensorCount} tensors; at most ${MOST_TENSORS} are read`);
  }
  const tally = { lists: 0, booleans: 0 };
  const metadata = new Map<string, GgufValue>();
  while (metadata.size < valueCount) {
    cursor.reading = `key ${metadata.size + 1} of ${valueCount}`;
    const key = yield* parseName(cursor);
    cursor.reading = `key ${show(key)}`;
    if (metadata.has(key)) throw malformedGguf(cursor.location, `its header has the key ${show(key)} twice`);
    if (cursor.left < 4) yield 4;
    metadata.set(key, yield* parseValue(cursor, cursor.u32(), tally));
  }
  const entries: TensorEntry[] = [];
  while (entries.length < tensorCount) {
    cursor.reading = `the description of tensor ${entries.length + 1} of ${tensorCount}`;
    entries.push(yield* parseEntry(cursor));
  }
  const tensors = placeGgufTensors(
    entries,
    { file, location: cursor.location, size: cursor.size },
    cursor.position,
    alignmentOf(cursor, metadata),
  );
  return { version, metadata, tensors };
}

function* parseVersion(cursor: GgufCursor): Parsing<number> {
  if (cursor.left < 8) yield 8;
  const magic = cursor.u32();
  const version = cursor.u32();
  if (magic !== MAGIC) throw malformedGguf(cursor.location, 'it does not begin with GGUF, so this is no GGUF file');
  if (version === 2 || version === 3) return version;
  if (version !== 0 && version % 0x10000 === 0) {
    throw malformedGguf(cursor.location, 'it is a big-endian GGUF file, which is not read; convert the model with little-endian numbers');
  }
  const hint = version === 1 ? 'convert the model again with a current llama.cpp' : 'it may come from a newer llama.cpp, or be damaged';
  throw malformedGguf(cursor.location, `it is GGUF version ${version}; versions 2 and 3 are read; ${hint}`);
}

function* parseEntry(cursor: GgufCursor): Parsing<TensorEntry> {
  const name = yield* parseName(cursor);
  cursor.reading = `the description of tensor ${show(name)}`;
  if (cursor.left < 4) yield 4;
  const dimensions = cursor.u32();
  if (dimensions > MOST_DIMENSIONS) {
    throw malformedGguf(cursor.location, `tensor ${show(name)} has ${dimensions} dimensions; the format allows ${MOST_DIMENSIONS}`);
  }
  const rest = dimensions * 8 + 12;
  if (cursor.left < rest) yield rest;
  const shape: number[] = [];
  while (shape.length < dimensions) shape.push(cursor.u64());
  return { name, shape: shape.reverse(), type: cursor.u32(), offset: cursor.u64() };
}

/** What the offsets of tensors are multiples of. Throws `gguf_header`. */
function alignmentOf(cursor: GgufCursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || alignment < 1 || !Number.isInteger(Math.log2(alignment))) {
    throw malformedGguf(cursor.location, `general.alignment is ${show(alignment)}; it must be a power of two`);
  }
  return alignment;
}
