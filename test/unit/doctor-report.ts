import type { DoctorReport } from '../../src/engine/doctor-report.ts';
import type { KernelStats } from '../../src/engine/report-types.ts';

/** What an engine on a device without a GPU says of its kernels. */
export const SERVING: KernelStats['serving'] = {
  matmul: ['narrow tile'],
  shrink: ['narrow'],
  expand: ['narrow'],
  attention: ['narrow'],
  norm: ['narrow row'],
  sampler: ['narrow chunks'],
};

/** A report of a device on which all is well but for what is given. */
export function report(more: Partial<DoctorReport> = {}): DoctorReport {
  return {
    version: 1,
    at: '2026-01-02T03:04:05.000Z',
    runtime: 'v20',
    device: {
      name: 'acme chip',
      software: false,
      info: { vendor: 'acme', architecture: 'chip', device: '', description: '' },
      features: ['subgroups'],
      limits: { maxStorageBufferBindingSize: 2 ** 27, maxBufferSize: 2 ** 28, maxComputeWorkgroupStorageSize: 16_384 },
    },
    serving: { exact: SERVING, half: SERVING },
    checks: [{ precision: 'exact', kernel: 'matmul', family: 'narrow', variant: 'tile' }],
    clock: 'timestamps',
    timings: [
      { kernel: 'matmul', shape: 'f16, 8 rows', family: 'wide', variant: 'row', ms: 0.125, least: 0.1, most: 0.2 },
      { kernel: 'matmul', shape: 'f16, 8 rows', family: 'plain', variant: 'plain', ms: 1, least: 0.9, most: 1.5 },
    ],
    pipelines: [{ kernel: 'matmul-tile', ms: 31.5 }],
    ms: 4200,
    ...more,
  };
}
