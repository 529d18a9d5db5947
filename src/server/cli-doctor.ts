import type { DoctorReport, DoctorTiming } from '../engine/doctor-report.ts';
import type { DoctorArguments } from './cli-arguments.ts';
import { openOutput, type RecordOutput } from './cli-files.ts';
import { say, writeText } from './cli-host.ts';
import type { Host } from './cli-host.ts';

/**
 * Looks at the device, prints what was found for people, and writes it as JSON where that was asked for. Returns 0, or 1 where a kernel
 * is wrong in every form, so that no engine would start. Throws `WebLoraError` where there is no device or no place for the report.
 */
export async function runDoctor({ json, software }: DoctorArguments, host: Host): Promise<0 | 1> {
  const output = json === undefined ? undefined : await openOutput(json, '-', host);
  let report: DoctorReport;
  try {
    const gpu = await host.dawn({ software, onNotice: (line) => say(host, line) });
    report = await host.diagnose({
      gpu,
      signal: host.signal,
      onProgress: ({ done, total, next }) => showProgress(host, done, total, next),
    });
    if (output) await writeReport(output, { weblora: host.version, ...report });
  } catch (error) {
    await output?.abandon();
    throw error;
  }
  if (json !== '-') await writeText(host.stdout, `${reportText(report)}\n`);
  if (json !== undefined && json !== '-') say(host, `The whole report is in ${json}.`);
  return Object.values(report.serving).some((serving) => typeof serving === 'string') ? 1 : 0;
}

async function writeReport(output: RecordOutput, report: object): Promise<void> {
  await output.write(`${JSON.stringify(report, undefined, 2)}\n`);
  await output.finish();
}

function showProgress(host: Host, done: number, total: number, next: string): void {
  if (next !== '') say(host, `${done + 1} of ${total}: ${next}`);
}

/** The report for people. */
export function reportText({ device, runtime, serving, checks, timings, pipelines, clock, ms }: DoctorReport): string {
  const wrong = checks.filter((check) => check.wrong !== undefined);
  const { maxStorageBufferBindingSize = 0, maxBufferSize = 0, maxComputeWorkgroupStorageSize = 0 } = device.limits;
  const slowest = pipelines.toSorted((a, b) => b.ms - a.ms).slice(0, 3);
  const lines = [
    `${device.name}${device.software ? ', in software' : ''}; ${runtime}`,
    `features: ${device.features.join(', ') || 'none'}`,
    `limits: ${mebibytes(maxStorageBufferBindingSize)} a binding, ${mebibytes(maxBufferSize)} a buffer, ${maxComputeWorkgroupStorageSize} bytes a workgroup`,
    '',
    `${checks.length} variants checked against plain loops, ${wrong.length === 0 ? 'all of them sound' : `${wrong.length} wrong`}`,
    ...wrong.map(({ precision, kernel, family, variant, wrong: why }) => `  ${precision}: ${family} ${variant} of ${kernel}: ${why}`),
    ...(['exact', 'half'] as const).map((precision) => `serving in ${precision}: ${servingText(serving[precision])}`),
    '',
    `milliseconds of one dispatch, by ${clock === 'timestamps' ? 'the device’s timestamps' : 'results in JS'} (median, least to most):`,
    ...timings.map((timing, i) => timingLine(timing, timings[i - 1])),
    '',
    `${pipelines.length} pipelines compiled, the slowest in ${slowest.map(({ kernel, ms: taken }) => `${taken.toFixed(0)} ms (${kernel})`).join(', ')}`,
    `all of it took ${(ms / 1000).toFixed(1)} s`,
  ];
  return lines.join('\n');
}

function servingText(serving: DoctorReport['serving']['exact']): string {
  if (typeof serving === 'string') return serving;
  return Object.entries(serving)
    .map(([kernel, variants]) => `${kernel} ${variants.join(', ')}`)
    .join('; ');
}

/** Shapes head the lines of their variants. */
function timingLine({ kernel, shape, family, variant, ms, least, most }: DoctorTiming, before: DoctorTiming | undefined): string {
  const head = before?.kernel === kernel && before.shape === shape ? '' : `  ${kernel}: ${shape}\n`;
  const name = family === variant ? family : `${family} ${variant}`;
  return `${head}    ${name.padEnd(24)} ${ms.toFixed(3).padStart(9)} (${least.toFixed(3)} to ${most.toFixed(3)})`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
