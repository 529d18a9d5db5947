/** An object of a JSON file, nothing known about its fields yet. */
export type Json = Readonly<Record<string, unknown>>;

/** @returns Whether the value is an object of a JSON file: no array, not null. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
