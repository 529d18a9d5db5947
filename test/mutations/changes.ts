/** Numbers from 0 to 1. */
export type Random = () => number;

export const below = (random: Random, end: number): number => Math.floor(random() * end);
export const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!;

type Bytes = Uint8Array<ArrayBuffer>;

/** Lengths, counts and offsets that a file cannot mean. */
const SIZES: readonly bigint[] = [
  0n,
  1n,
  255n,
  65_536n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];
/** f32 that arithmetic does not like: NaN, infinities, the largest, the smallest, one that overflows when squared. */
const FLOATS: readonly number[] = [NaN, Infinity, -Infinity, 3.4e38, -3.4e38, 1e30, 1e-45, 0, -0, -1, 65_504];

/** One change of bytes at a place: bits, numbers where any may stand, pieces lost, doubled or put in. The first four keep the length. */
const BYTE_CHANGES: readonly ((bytes: Bytes, at: number, random: Random) => Bytes)[] = [
  (bytes, at, random) => {
    bytes[at]! ^= 1 << below(random, 8);
    return bytes;
  },
  (bytes, at, random) => {
    bytes[at] = below(random, 256);
    return bytes;
  },
  (bytes, at, random) => {
    const size = random() < 0.3 ? BigInt(below(random, 2 * bytes.length)) : pick(random, SIZES);
    const number = new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, size)).buffer, 0, random() < 0.5 ? 4 : 8);
    bytes.set(number.subarray(0, bytes.length - at), at);
    return bytes;
  },
  (bytes, at, random) => {
    const aligned = at - (at % 4);
    const number = new Uint8Array(Float32Array.of(pick(random, FLOATS)).buffer);
    bytes.set(number.subarray(0, bytes.length - aligned), aligned);
    return bytes;
  },
  (bytes, at) => bytes.slice(0, at),
  (bytes, at, random) => joined(bytes.subarray(0, at), bytes.subarray(at + 1 + below(random, 64))),
  (bytes, at, random) => joined(bytes.subarray(0, at), bytes.subarray(Math.max(0, at - below(random, 64)))),
  (bytes, at, random) =>
    joined(
      bytes.subarray(0, at),
      Uint8Array.from({ length: 1 + below(random, 16) }, () => below(random, 256)),
      bytes.subarray(at),
    ),
  (bytes, at, random) => {
    const length = Math.min(1 + below(random, 256), bytes.length - at);
    bytes.fill(random() < 0.5 ? 0 : 255, at, at + length);
    return bytes;
  },
];

function joined(...parts: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A copy with one to three changes, most of them in its first `head` bytes. */
export function changeBytes(file: Bytes, head: number, random: Random): Bytes {
  let bytes = file.slice();
  for (let left = 1 + below(random, 3); left > 0 && bytes.length > 0; left--) {
    const end = random() < 0.7 ? Math.min(head, bytes.length) : bytes.length;
    // The first changes keep the file's length: others are soon seen as a file cut short.
    const change = random() < 0.6 ? BYTE_CHANGES[below(random, 4)]! : pick(random, BYTE_CHANGES);
    bytes = change(bytes, below(random, end), random);
  }
  return bytes;
}

const WORDS: readonly string[] = [
  'null',
  'true',
  'false',
  '0',
  '-1',
  '1',
  '3',
  '7',
  '0.5',
  '1e-40',
  '1e40',
  '1e999',
  '-1e999',
  'NaN',
  '2147483647',
  '4294967296',
  '1000000',
  '9007199254740993',
  '1e15',
  '""',
  '"x"',
  '"\\u0000"',
  '"../../etc/passwd"',
  '"silu"',
  '"NaN"',
  '[]',
  '{}',
  '[[]]',
  '[1, 2, 3]',
  '{"a": 1}',
  '{"__proto__": 1}',
  '{"constructor": 1}',
  '[null]',
  '"(a+)+$"',
  '"a{1,1000000}"',
  '"{% for i in range(1000000000) %}x{% endfor %}"',
  '"\\ud800"',
  `"${'a'.repeat(5000)}"`,
  `${'['.repeat(3000)}${']'.repeat(3000)}`,
];

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Place = { readonly holder: Json[] | { [key: string]: Json }; readonly key: string };

function places(value: Json, found: Place[] = []): Place[] {
  if (value === null || typeof value !== 'object') return found;
  for (const key of Object.keys(value)) {
    found.push({ holder: value, key });
    places((value as Record<string, Json>)[key]!, found);
  }
  return found;
}

const MARK = '@@mark@@';

/** JSON with one to three of its values, keys or entries changed; sometimes with its text damaged instead. */
export function changeJson(file: Bytes, random: Random): Bytes {
  if (random() < 0.2) return changeBytes(file, file.length, random);
  const json = JSON.parse(new TextDecoder().decode(file)) as Json;
  const put: string[] = [];
  for (let left = 1 + below(random, 3); left > 0; left--) {
    const all = places(json);
    if (all.length === 0) break;
    // What stands near the top decides most.
    const { holder, key } = all[below(random, random() < 0.5 ? Math.min(40, all.length) : all.length)]!;
    const values = holder as Record<string, Json>;
    const kind = random();
    if (kind < 0.55) {
      put.push(changedValue(values[key]!, random));
      values[key] = `${MARK}${put.length - 1}`;
    } else if (kind < 0.7) {
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete values[key];
    } else if (kind < 0.8) {
      const value = structuredClone(values[key]!);
      if (Array.isArray(holder)) holder.push(value);
      else values[pick(random, [`${key}_`, key.toUpperCase(), '__proto__x', pick(random, all).key])] = value;
    } else {
      const { holder: from, key: name } = pick(random, all);
      values[key] = structuredClone((from as Record<string, Json>)[name]!);
      if (JSON.stringify(json).length > 4 * file.length) delete values[key];
    }
  }
  const text = JSON.stringify(json).replaceAll(new RegExp(`"${MARK}(\\d+)"`, 'g'), (_, index: string) => put[Number(index)]!);
  return new TextEncoder().encode(text);
}

function changedValue(value: Json, random: Random): string {
  if (typeof value === 'number' && random() < 0.4) {
    return String(
      pick(random, [value + 1, value - 1, value * 2, value / 2, -value, value * 1e6, value + 0.5, Math.floor(value * random())]),
    );
  }
  return pick(random, WORDS);
}

/** A safetensors file whose header is changed as JSON, its length put right. */
export function changeHeader(file: Bytes, random: Random): Bytes {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = changeJson(file.slice(8, 8 + length), random);
  const prefix = new Uint8Array(BigUint64Array.of(BigInt(header.length)).buffer);
  return joined(prefix, header, file.subarray(8 + length));
}
