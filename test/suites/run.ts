import type { Suites } from './all.ts';

/** Names one case. */
export interface Asked {
  readonly suite: string;
  readonly name: string;
}

/** Runs one case of a suite; what it throws, for people, or undefined where it holds. */
export async function runCase(suites: Suites, { suite, name }: Asked): Promise<string | undefined> {
  try {
    const found = suites[suite]?.find((each) => each.name === name);
    if (found === undefined) throw new Error(`There is no case "${name}" in "${suite}"`);
    await found.run();
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}
