import type { StepLoad } from './cost.ts';
import type { Reading } from './traffic.ts';

/**
 * When things happen. An engine goes by the clock; a run that is to be repeated exactly, step by step, brings a pace of its own: then time,
 * arrivals and the end of reads are what it says.
 */
export interface Pace {
  /** Milliseconds. */
  now(): number;
  /** Steps in flight at once, by what was measured. */
  depth(measured: number): number;
  /** Milliseconds that uploads may take between two steps while steps are in flight. */
  readonly uploadMs: number;
  /** Called before each step is decided, which waits for it. */
  before(): Promise<void> | undefined;
  /** A step was decided: reads begin, and rows were submitted where there are any. */
  decided(reads: readonly Reading[], load: StepLoad | undefined): void;
  /** The oldest step in flight came back. */
  returned(): void;
  /** What was read is in memory: `deliver` tells the scheduler, now or later. */
  read(content: string, deliver: () => void): void;
  /** Nothing runs. `again`: there is more to come, and a step is decided at once. */
  idle(): 'rest' | 'again';
}

/** Enough for adapters of some megabytes, and less than a frame. */
const UPLOAD_MS = 4;

/** The clock's. */
export const realPace: Pace = {
  now: () => performance.now(),
  depth: (measured) => measured,
  uploadMs: UPLOAD_MS,
  before: () => undefined,
  decided: () => undefined,
  returned: () => undefined,
  read: (_, deliver) => deliver(),
  idle: () => 'rest',
};
