import type { KernelStats } from './report-types.ts';
import type { GpuProvider } from './types.ts';

/** What `diagnose` takes. */
export interface DiagnoseOptions {
  /** Default: `navigator.gpu`. */
  readonly gpu?: GpuProvider;
  /** Called as parts of it are done, with what comes next. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number; readonly next: string }) => void;
  /** Ends it between two parts. */
  readonly signal?: AbortSignal;
}

/** What `diagnose` and `weblora doctor` find out. Plain JSON; `version` rises when a field changes its meaning. */
export interface DoctorReport {
  readonly version: 1;
  /** When it was made: an ISO date. */
  readonly at: string;
  /** The browser's or the runtime's name and version. */
  readonly runtime: string;
  readonly device: {
    /** As the driver gives it. */
    readonly name: string;
    readonly software: boolean;
    readonly info: Readonly<Record<string, string>>;
    /** All that the adapter has, whether it is used or not. */
    readonly features: readonly string[];
    readonly limits: Readonly<Record<string, number>>;
  };
  /** What serves each kernel here, by precision; a sentence where a kernel is wrong in every form, and no engine would start. */
  readonly serving: Readonly<Record<'exact' | 'half', KernelStats['serving'] | string>>;
  /** Every variant against its plain loop. */
  readonly checks: readonly DoctorCheck[];
  /** `timestamps` of the device, or the time from submit to result in JS. */
  readonly clock: 'timestamps' | 'results';
  readonly timings: readonly DoctorTiming[];
  /** Milliseconds in which pipelines were compiled, one after another. */
  readonly pipelines: readonly { readonly kernel: string; readonly ms: number }[];
  /** Milliseconds that all of it took. */
  readonly ms: number;
}

export interface DoctorCheck {
  readonly precision: 'exact' | 'half';
  readonly kernel: string;
  readonly family: string;
  readonly variant: string;
  /** What it did wrong; absent where it did nothing wrong. */
  readonly wrong?: string;
}

/** One variant at one shape of the small model that the project ships: milliseconds of one dispatch. */
export interface DoctorTiming {
  readonly kernel: string;
  readonly shape: string;
  readonly family: string;
  readonly variant: string;
  /** Median, least and most of the samples. */
  readonly ms: number;
  readonly least: number;
  readonly most: number;
}
