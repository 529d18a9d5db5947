const NAMES = [
  'ArrayBuffer',
  'Array',
  'Uint8Array',
  'Int8Array',
  'Uint16Array',
  'Int16Array',
  'Uint32Array',
  'Int32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
] as const;

/** The memory that was asked for by a number, here and on the device. Copies of what is there are not counted. */
export interface Allocations {
  /** The largest since it was asked last, in bytes. */
  largest(): { readonly bytes: number; readonly what: string };
  note(bytes: number, what: string): void;
  stop(): void;
}

/** Watches constructors until `stop`. */
export function watchAllocations(): Allocations {
  let most = { bytes: 0, what: 'nothing' };
  const note = (bytes: number, what: string): void => {
    if (bytes > most.bytes) most = { bytes, what };
  };
  const all = globalThis as unknown as Record<string, unknown>;
  const originals = NAMES.map((name) => [name, all[name]] as const);
  for (const [name, original] of originals) {
    const target = original as (new (...args: unknown[]) => object) & { readonly BYTES_PER_ELEMENT?: number };
    const size = name === 'ArrayBuffer' ? 1 : (target.BYTES_PER_ELEMENT ?? 8);
    all[name] = new Proxy(target, {
      construct(constructor, args: unknown[], newTarget) {
        if (typeof args[0] === 'number') note(args[0] * size, `${name}(${args[0]})`);
        return Reflect.construct(constructor, args, newTarget) as object;
      },
    });
  }
  return {
    largest: () => {
      const found = most;
      most = { bytes: 0, what: 'nothing' };
      return found;
    },
    note,
    stop: () => {
      for (const [name, original] of originals) all[name] = original;
    },
  };
}
