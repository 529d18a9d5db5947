import { InvalidArgumentError } from 'commander';

/** An adapter as `--lora-modules` gives it. */
export interface LoraModule {
  readonly name: string;
  /** A folder, an address or a hub id, as it was typed. */
  readonly source: string;
}

/** `NAME=DIR`, behind those before it. */
export function loraModule(value: string, before: readonly LoraModule[] = []): readonly LoraModule[] {
  const equals = value.indexOf('=');
  if (equals === -1) throw new InvalidArgumentError('Expected NAME=DIR, with an equals sign.');
  const name = value.slice(0, equals);
  const source = value.slice(equals + 1);
  if (name === '') throw new InvalidArgumentError('The name before the equals sign is empty.');
  if (/\p{Cc}/u.test(name)) throw new InvalidArgumentError('The name has control characters in it.');
  if (source === '') throw new InvalidArgumentError('The folder behind the equals sign is empty.');
  return [...before, { name, source }];
}

/** Any text but none. */
export function filled(value: string): string {
  if (value.trim() === '') throw new InvalidArgumentError('It is empty.');
  return value;
}

/** A whole number from `min` on. */
export function integer(min: number): (value: string) => number {
  return (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (Number.isSafeInteger(number) && number >= min) return number;
    throw new InvalidArgumentError(`Expected a whole number from ${min} on.`);
  };
}

/** A number of a range. */
export function between(least: number, most: number): (value: string) => number {
  return decimal(`from ${least} to ${most}`, (number) => number >= least && number <= most);
}

/** A number above 0. */
export function positive(most = Infinity): (value: string) => number {
  return decimal(most === Infinity ? 'above 0' : `above 0, up to ${most}`, (number) => number > 0 && number <= most);
}

function decimal(range: string, allows: (number: number) => boolean): (value: string) => number {
  return (value) => {
    const number = /^-?\d*\.?\d+$/.test(value) ? Number(value) : Number.NaN;
    if (allows(number)) return number;
    throw new InvalidArgumentError(`Expected a number ${range}.`);
  };
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** Bytes, as 512M. */
export function byteCount(value: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([kmg]?)(?:i?b)?$/i.exec(value) ?? [];
  const bytes = digits === '' ? Number.NaN : Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new InvalidArgumentError('Expected a number of bytes, such as 512M or 2G.');
}

/** Bytes for people, as 134.5 MB. */
export function bytesInWords(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), 4);
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** power).toFixed(1)} ${['', 'kB', 'MB', 'GB', 'TB'][power]}`;
}
