/** Which adapters lie on the GPU and in which order they were last used. */
export interface Residency {
  /** Notes an adapter that has just been placed on the GPU, as used now. Throws `RangeError` where it is there already. */
  add(key: string): void;
  /** Notes a use. Throws `RangeError` where it is not on the GPU. */
  touch(key: string): void;
  /** Notes that it left the GPU. Throws `RangeError` where it is not there. */
  remove(key: string): void;
  has(key: string): boolean;
  /** Adapters that may be evicted, the one whose last use lies furthest back first: all but those in `inUse`. */
  victims(inUse: ReadonlySet<string>): string[];
}

/** Makes an empty record of what is on the GPU. Pure: the order of calls is its only clock. */
export function createResidency(): Residency {
  const byUse = new Set<string>(); // a set keeps the order of insertion: least recently used first
  const requireResident = (key: string): void => {
    if (!byUse.has(key)) throw new RangeError(`Adapter ${JSON.stringify(key)} is not on the GPU.`);
  };
  return {
    add(key) {
      if (byUse.has(key)) throw new RangeError(`Adapter ${JSON.stringify(key)} is on the GPU already.`);
      byUse.add(key);
    },
    touch(key) {
      requireResident(key);
      byUse.delete(key);
      byUse.add(key);
    },
    remove(key) {
      requireResident(key);
      byUse.delete(key);
    },
    has: (key) => byUse.has(key),
    victims: (inUse) => [...byUse].filter((key) => !inUse.has(key)),
  };
}
