/** A value and the number of the source that it came from. */
export interface Arrival<T> {
  readonly index: number;
  readonly value: T;
}

/**
 * The values of several sources in the order in which they arrive. A source is read on only when its last value was taken, so that a
 * slow reader keeps one of each. Throws what the first source to fail throws, after the values that arrived before; the others are
 * not ended by that, nor by leaving.
 */
export async function* inOrderOfArrival<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<Arrival<T>, void, undefined> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const arrived: (() => Arrival<T> | undefined)[] = [];
  let wake = (): void => undefined;
  const arrive = (take: () => Arrival<T> | undefined): void => {
    arrived.push(take);
    wake();
  };
  const read = (index: number): void => {
    iterators[index]!.next().then(
      (step) => arrive(() => (step.done ? undefined : { index, value: step.value })),
      (error: unknown) =>
        arrive(() => {
          throw error;
        }),
    );
  };
  iterators.forEach((_, index) => read(index));
  for (let open = iterators.length; open > 0;) {
    const take = arrived.shift();
    if (take === undefined) {
      await new Promise<void>((resolve) => (wake = resolve));
      continue;
    }
    const arrival = take();
    if (arrival === undefined) {
      open--;
      continue;
    }
    yield arrival;
    read(arrival.index);
  }
}
