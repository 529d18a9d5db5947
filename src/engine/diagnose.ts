import { loadPart } from '../errors.ts';
import type { DiagnoseOptions, DoctorReport } from './doctor-report.ts';
import { providerOf } from './provider.ts';

/**
 * Looks at a device as `weblora doctor` does: its limits and features, every kernel against the plain loop on the device itself, how long
 * pipelines take to compile and kernels to run. The report is plain JSON and names nobody but the device and the runtime.
 * @throws WebLoraError `gpu_missing`, `device_lost`, `out_of_memory`, and the signal's reason.
 */
export async function diagnose(options: DiagnoseOptions = {}): Promise<DoctorReport> {
  const provider = providerOf(options.gpu);
  const { examine } = await loadPart(() => import('./doctor.ts'));
  return examine(provider, options);
}
