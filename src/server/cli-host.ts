import type { DiagnoseOptions, DoctorReport } from '../engine/doctor-report.ts';
import type { ProfileOptions, ProfileReport } from '../engine/profile-report.ts';
import type { CoreEngine, EngineOptions, GpuProvider } from '../engine/types.ts';

/** A stream that text is written to: standard output, standard error, or a test's. */
export interface TextOutput extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  hasColors?(): boolean;
}

/** Everything the commands need from the process and the platform. */
export interface Host {
  readonly version: string;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  /** Aborted when the user interrupts. */
  readonly signal: AbortSignal;
  /** Whether the terminal can move its cursor. */
  readonly terminal: 'plain' | 'cursor';
  readonly dawn: (options: { software?: boolean; onNotice?: (line: string) => void }) => Promise<GpuProvider>;
  readonly createEngine: (options: EngineOptions) => Promise<CoreEngine>;
  readonly diagnose: (options: DiagnoseOptions) => Promise<DoctorReport>;
  readonly profile: (options: ProfileOptions) => Promise<ProfileReport>;
}

/** Writes text and waits until the stream has taken it. Rejects with the stream's error: `EPIPE` where the reader has gone. */
export function writeText(stream: NodeJS.WritableStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

/** Writes one line for people to standard error. */
export function say(host: Host, line: string): void {
  host.stderr.write(`${line}\n`);
}
