/** Files by name, as their bytes: `{ 'adapter_config.json': …, 'adapter_model.safetensors': … }`. */
export type FileBytes = Readonly<Record<string, Uint8Array<ArrayBuffer> | ArrayBuffer>>;

/** By its tag: an object of another window or realm is no instance of this one's class. */
function hasTag(value: unknown, tag: string): boolean {
  return Object.prototype.toString.call(value) === `[object ${tag}]`;
}

function isBytes(value: unknown): value is Uint8Array<ArrayBuffer> | ArrayBuffer {
  return hasTag(value, 'Uint8Array') || hasTag(value, 'ArrayBuffer');
}

/** True for a plain object of at least one file, every value of which is a Uint8Array or an ArrayBuffer. */
export function isFileBytes(source: unknown): source is FileBytes {
  if (typeof source !== 'object' || source === null || !hasTag(source, 'Object')) return false;
  const values = Object.values(source);
  return values.length > 0 && values.every(isBytes);
}
