/**
 * The least number of loads with which adapters can be used in this order where `places` fit at once: who is used again last leaves
 * (Belady, "A study of replacement algorithms for a virtual-storage computer", 1966). It knows the future, so no policy can do better.
 */
export function leastLoads(uses: readonly string[], places: number): number {
  const next = new Array<number>(uses.length).fill(Infinity);
  const seen = new Map<string, number>();
  for (let i = uses.length - 1; i >= 0; i--) {
    next[i] = seen.get(uses[i]!) ?? Infinity;
    seen.set(uses[i]!, i);
  }
  const resident = new Map<string, number>(); // when each is used again
  let loads = 0;
  uses.forEach((adapter, i) => {
    if (!resident.has(adapter)) {
      loads++;
      if (resident.size >= places) resident.delete(furthest(resident));
    }
    resident.set(adapter, next[i]!);
  });
  return loads;
}

function furthest(resident: ReadonlyMap<string, number>): string {
  let [name, most] = ['', -1];
  for (const [adapter, use] of resident) if (use > most) [name, most] = [adapter, use];
  return name;
}
