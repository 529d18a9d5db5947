import type { CoreEngine, EngineOptions, GpuProvider, Source } from '../../src/engine/types.ts';

/** One thing that must hold. `run` throws where it does not; what it throws says expected and found. */
export interface Case {
  readonly name: string;
  /** Folders outside the project that it cannot do without: where one is absent the case is skipped, visibly. */
  readonly needs?: readonly string[];
  /** `device`: runs kernels or the model itself on `gpu`; `engine`: all that it computes goes through `createEngine`, which may lead into a worker. Default: `device`. */
  readonly on?: 'device' | 'engine';
  /** It takes minutes on a slow software device: one runtime is enough for what does not depend on the runtime. */
  readonly takes?: 'minutes';
  readonly run: () => Promise<void>;
}

/** What every runtime's engine has, in its own thread or behind a worker. */
export type SuiteEngine = Omit<CoreEngine, 'text'>;

/** Where a suite runs: Node, a page or Deno give it a device and the project's files. */
export interface Environment {
  readonly gpu: GpuProvider;
  /** A folder of the project (`test/fixtures/arch/llama/base`), as `createEngine` takes it; undefined where it is not there. */
  folder(path: string): Promise<Source | undefined>;
  /** An engine on `gpu`, or behind a worker on that worker's own. */
  createEngine(options: Omit<EngineOptions, 'gpu' | 'tokenizer'>): Promise<SuiteEngine>;
}

/** Throws where a condition does not hold. */
export function check(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new Error(message());
}
