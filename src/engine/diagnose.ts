import { loadPart } from '../errors.ts';
import type { DiagnoseOptions, DoctorReport } from './doctor-report.ts';
import { requireFunction, requireOptions, requireSignal } from './option-checks.ts';
import { providerOf } from './provider.ts';

const OPTIONS: Readonly<Record<keyof DiagnoseOptions, true>> = { gpu: true, onProgress: true, signal: true };

/**
 * Looks at a device as `weblora doctor` does: its limits and features, every kernel against the plain loop on the device itself, how long
 * pipelines take to compile and kernels to run. The report is plain JSON and names nobody but the device and the runtime.
 * @throws TypeError for unknown options. @throws WebLoraError `gpu_missing`, `device_lost`, `out_of_memory`, and the signal's reason.
 */
export async function diagnose(options: DiagnoseOptions = {}): Promise<DoctorReport> {
  requireOptions('diagnose', options, OPTIONS);
  requireSignal(options.signal);
  requireFunction('onProgress', options.onProgress);
  const provider = providerOf(options.gpu);
  const { examine } = await loadPart(() => import('./doctor.ts'));
  return examine(provider, options);
}
