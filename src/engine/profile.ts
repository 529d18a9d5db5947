import { loadPart } from '../errors.ts';
import { requireFunction, requireNumbers, requireOptions, requireSignal, type Range } from './option-checks.ts';
import { checkEngineOptions } from './options.ts';
import type { ProfileOptions, ProfileReport } from './profile-report.ts';
import { providerOf } from './provider.ts';

/** Every option there is, with its range where it is a number. */
const OPTIONS: Readonly<Record<keyof ProfileOptions, Range | undefined>> = {
  model: undefined,
  gpu: undefined,
  precision: undefined,
  quantize: undefined,
  kernels: undefined,
  memory: undefined,
  hubToken: undefined,
  hubEndpoint: undefined,
  signal: undefined,
  adapters: undefined,
  rows: ['integer', 1, 1024],
  context: ['integer', 1],
  promptRows: ['integer', 1, 4096],
  onProgress: undefined,
};

/**
 * Takes two steps of a model apart on a device, as `weblora doctor --profile` does: one that decodes, and one that computes a chunk of a
 * prompt. Says of each kernel what it takes (by the device's timestamps where it has them), how fast that is, and what it would take at
 * least by what the device was found to do in the same process; of the step, what lies between its kernels. The report is plain JSON.
 * The device is opened for it and closed at the end.
 * @throws TypeError for unknown options. @throws WebLoraError `gpu_missing`, `device_lost`, `out_of_memory`, `request_invalid`, what
 * reading the model's and the adapters' files throws, and the signal's reason.
 */
export async function profile(options: ProfileOptions): Promise<ProfileReport> {
  requireOptions('profile', options, OPTIONS);
  requireNumbers(options, OPTIONS);
  requireSignal(options.signal);
  requireFunction('onProgress', options.onProgress);
  const { model, precision, quantize, kernels, memory, hubToken, hubEndpoint, rows = 8, promptRows = 64 } = options;
  const engine = { precision, quantize, kernels, memory, hubToken, hubEndpoint };
  const given = Object.fromEntries(Object.entries(engine).filter(([, value]) => value !== undefined));
  const limits = checkEngineOptions({ model, ...given, limits: { sequences: rows, batchRows: Math.max(128, rows, promptRows) } });
  const provider = providerOf(options.gpu);
  const { takeApart } = await loadPart(() => import('./profile-run.ts'));
  return takeApart(provider, options, limits);
}
