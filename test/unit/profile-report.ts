import type { ProfileReport } from '../../src/engine/profile-report.ts';

/** A report of a device on which a decode step is a matmul, a norm and a gap. */
export function profileReport(more: Partial<ProfileReport> = {}): ProfileReport {
  const names = ['row'];
  return {
    version: 1,
    at: '2026-01-02T03:04:05.000Z',
    runtime: 'v20',
    device: { name: 'acme chip', software: false, info: { vendor: 'acme' } },
    model: 'small',
    precision: 'half',
    serving: { matmul: names, shrink: names, expand: names, attention: names, norm: names, sampler: names },
    adapters: 2,
    clock: 'timestamps',
    ceilings: { launchMs: 0.002, gflops: 12_345.6, gigabytesPerSecond: 456.7, gigaloadsPerSecond: 89.12 },
    steps: [
      {
        step: 'decode',
        rows: 8,
        keys: 128,
        kernels: [
          {
            ...{ kernel: 'wide-matmul-row', part: 'gate and up', dispatches: 4, ms: 1.5, gflops: 1234.5, gigabytesPerSecond: 300 },
            ...{ floorMs: 1, share: 0.75 },
          },
          { kernel: 'wide-rms-norm', dispatches: 9, ms: 0.25, gflops: 0.0123, gigabytesPerSecond: 1.5, floorMs: 0.125, share: 0.125 },
        ],
        ...{
          launches: 13,
          launchesMs: 0.026,
          kernelsMs: 1.75,
          floorsMs: 1.125,
          gapsMs: 0.25,
          stepMs: 2,
          stepLeastMs: 1.5,
          stepMostMs: 4,
          stepOfFloors: 2 / 1.125,
        },
      },
    ],
    ms: 4200,
    ...more,
  };
}
