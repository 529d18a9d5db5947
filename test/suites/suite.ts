import type { GpuProvider, Source } from '../../src/engine/types.ts';

/** One thing that must hold. `run` throws where it does not; what it throws says expected and found. */
export interface Case {
  readonly name: string;
  /** Folders outside the project that it cannot do without: where one is absent the case is skipped, visibly. */
  readonly needs?: readonly string[];
  readonly run: () => Promise<void>;
}

/** Where a suite runs: Node, a page or Deno give it a device and the project's files. */
export interface Environment {
  readonly gpu: GpuProvider;
  /** A folder of the project (`test/fixtures/arch/llama/base`), as `createEngine` takes it; undefined where it is not there. */
  folder(path: string): Promise<Source | undefined>;
}

/** Throws where a condition does not hold. */
export function check(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new Error(message());
}
