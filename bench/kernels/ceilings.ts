import { attemptsOf, ceilingBytes, ceilingNumbers, openCeilings as openOn, type Attempt } from '../../src/engine/profile-ceilings.ts';
import type { Ceilings } from '../../src/engine/profile-floor.ts';
import { bits } from '../../test/suites/kernel-harness.ts';
import type { Row } from '../report.ts';
import type { Bed, Timed } from './bed.ts';

export type { Ceilings } from '../../src/engine/profile-floor.ts';

/** Longer than what a processor or a software device keeps near, and short enough to be kept. */
const STREAM_BYTES: readonly number[] = [32 << 20, 4 << 20];

/** Several ways to come near each ceiling; the best one of a device is found once and measured again beside what it is a ceiling of. */
export interface CeilingMeter {
  /** The ceilings at this moment. */
  now(): Promise<Ceilings>;
  readonly rows: readonly Row[];
}

/** The product's own ceilings, timed on a bed. */
export async function openCeilings(bed: Bed): Promise<CeilingMeter> {
  const isSoftware = /swiftshader|llvmpipe|lavapipe/i.test(bed.description);
  const sizes = STREAM_BYTES.map((bytes) => ceilingBytes(isSoftware, bytes));
  const source = bed.buffer('stream', bits(ceilingNumbers(sizes[0]!.source / 4)));
  const sink = bed.buffer('sink', new Uint32Array(sizes[0]!.sink / 4));
  const prepare = ({ kernel, constants, threads }: Attempt): Promise<Timed> =>
    bed.prepare({ kernel, constants, libraries: [], buffers: { source, sink }, threads });
  const streams = [...new Set(sizes.map((size) => size.source))];
  const meter = await openOn({ prepare, time: bed.time }, attemptsOf(isSoftware, streams));
  return { now: meter.now, rows: meter.tried.map(rowOf) };
}

function rowOf({ attempt: { kind, label }, rate, best }: Awaited<ReturnType<typeof openOn>>['tried'][number]): Row {
  const name = `ceilings/${kind}: ${label}`;
  const note = best ? 'the ceiling' : '';
  if (kind === 'launch') return { name, value: 1000 / rate, unit: 'us', note };
  if (kind === 'loads') return { name, value: rate / 1e3, unit: 'M vec4/s', note };
  return { name, value: rate / 1e6, unit: kind === 'flops' ? 'GFLOP/s' : 'GB/s', note };
}
