/** A size for people: 617 kB, 2.4 MB. */
export function bytesInWords(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 999_500) return `${Math.round(bytes / 1000)} kB`;
  if (bytes < 999_500_000) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** A rate for people: 4.8 below a hundred, 312 above. */
export function rateInWords(perSecond: number): string {
  return perSecond < 99.5 ? perSecond.toFixed(1) : String(Math.round(perSecond));
}

/** What an error says to people. */
export function errorInWords(error: unknown): string {
  if (error instanceof Error && error.message !== '') return error.message;
  return `Something failed and did not say what: ${String(error)}`;
}

/** The error's word for programs, where it has one. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** `1 adapter`, `8 adapters`. */
export function count(number: number, one: string): string {
  return `${number} ${one}${number === 1 ? '' : 's'}`;
}
