import type { KernelStats } from './report-types.ts';
import type { EngineOptions, Source } from './types.ts';

/** What `profile` takes: what an engine would be started with, and which steps are taken apart. */
export interface ProfileOptions extends Pick<
  EngineOptions,
  'model' | 'gpu' | 'precision' | 'quantize' | 'kernels' | 'memory' | 'hubToken' | 'hubEndpoint' | 'signal'
> {
  /** The rows of the decode step have them in turns, the chunk of a prompt has the first. Default: the base alone. */
  readonly adapters?: readonly Source[];
  /** Sequences of the decode step. Default 8. */
  readonly rows?: number;
  /** Keys that each of them attends to. Default 128, or the model's context where that is less. */
  readonly context?: number;
  /** Tokens of the chunk of a prompt. Default 64, or the model's context where that is less. */
  readonly promptRows?: number;
  /** Called as parts of it are done, with what comes next. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number; readonly next: string }) => void;
}

/** Where the time of a model's steps goes on one device. Plain JSON; `version` rises when a field changes its meaning. */
export interface ProfileReport {
  readonly version: 1;
  /** When it was made: an ISO date. */
  readonly at: string;
  /** The browser's or the runtime's name and version. */
  readonly runtime: string;
  readonly device: { readonly name: string; readonly software: boolean; readonly info: Readonly<Record<string, string>> };
  readonly model: string;
  readonly precision: 'exact' | 'half';
  readonly quantize?: 'q8' | 'q4';
  /** What computes each hot kernel. */
  readonly serving: KernelStats['serving'];
  readonly adapters: number;
  /** `timestamps` of the device, or the time from submit to result in JS, less that of an empty pass. */
  readonly clock: 'timestamps' | 'results';
  /** What the device was found to do at most, between the steps: medians. */
  readonly ceilings: {
    /** Of a dispatch that does nothing, in the middle of a pass. */
    readonly launchMs: number;
    readonly gflops: number;
    /** Read from memory, by a stream about as long as what the model's weights take. */
    readonly gigabytesPerSecond: number;
    /** Loads of four numbers that threads issue, in thousand millions. */
    readonly gigaloadsPerSecond: number;
  };
  readonly steps: readonly ProfiledStep[];
  /** Milliseconds that all of it took. */
  readonly ms: number;
}

/** One step: `stepMs` = `kernelsMs` + `gapsMs`. Times are medians, in milliseconds on the device. */
export interface ProfiledStep {
  readonly step: 'decode' | 'prefill';
  readonly rows: number;
  /** Keys of the row that attends to most. */
  readonly keys: number;
  /** The longest first. */
  readonly kernels: readonly ProfiledKernel[];
  /** Dispatches of the step, and what as many take that do nothing: a part of the floors. */
  readonly launches: number;
  readonly launchesMs: number;
  /** Sum over the kernels, and over their floors. */
  readonly kernelsMs: number;
  readonly floorsMs: number;
  /** What the step takes beyond its kernels; negative where they overlap. */
  readonly gapsMs: number;
  /** The whole step, in one pass as the engine submits it; and the least and most of the samples: what else the device did is in them. */
  readonly stepMs: number;
  readonly stepLeastMs: number;
  readonly stepMostMs: number;
  /** `stepMs` by `floorsMs`. */
  readonly stepOfFloors: number;
}

/** All dispatches of a step that are one kernel in one place of the network. */
export interface ProfiledKernel {
  readonly kernel: string;
  /** Of a matmul, shrink or expand: what it computes. */
  readonly part?: 'qkv' | 'o' | 'gate and up' | 'down' | 'head';
  readonly dispatches: number;
  /** Of all of them, each once. */
  readonly ms: number;
  /** What the mathematics asks for (every number once), by `ms`; whatever the kernel issues. */
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
  /** Launches, and the longest of: operations, bytes and loads at the ceilings' rates. */
  readonly floorMs: number;
  /** Of the step's time. */
  readonly share: number;
}
