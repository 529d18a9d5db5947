import type { ProfiledKernel, ProfiledStep, ProfileReport } from '../engine/profile-report.ts';
import type { ProfileArguments } from './cli-arguments.ts';
import { openOutput } from './cli-files.ts';
import { say, writeText } from './cli-host.ts';
import type { Host } from './cli-host.ts';

/**
 * Takes the steps of a model apart, prints where their time goes for people, and writes it as JSON where that was asked for. Returns 0.
 * Throws `WebLoraError` where there is no device or no place for the report, and what reading the model throws.
 */
export async function runProfile(args: ProfileArguments, host: Host): Promise<0> {
  const { json, software, model, modules, precision, quantize, kernels, rows, context, promptRows, poolMemory } = args;
  const output = json === undefined ? undefined : await openOutput(json, '-', host);
  let report: ProfileReport;
  try {
    const gpu = await host.dawn({ software, onNotice: (line) => say(host, line) });
    report = await host.profile({
      ...{ gpu, model, signal: host.signal, adapters: modules.map(({ source }) => source) },
      ...(precision !== undefined && { precision }),
      ...(quantize !== undefined && { quantize }),
      ...(kernels !== undefined && { kernels }),
      ...(rows !== undefined && { rows }),
      ...(context !== undefined && { context }),
      ...(promptRows !== undefined && { promptRows }),
      ...(poolMemory !== undefined && { memory: { pool: poolMemory } }),
      onProgress: ({ done, total, next }) => next !== '' && say(host, `${done + 1} of ${total}: ${next}`),
    });
    await output?.write(`${JSON.stringify({ weblora: host.version, ...report }, undefined, 2)}\n`);
    await output?.finish();
  } catch (error) {
    await output?.abandon();
    throw error;
  }
  if (json !== '-') await writeText(host.stdout, `${profileText(report)}\n`);
  if (json !== undefined && json !== '-') say(host, `The whole report is in ${json}.`);
  return 0;
}

/** The report for people. */
export function profileText({ device, runtime, model, precision, quantize, adapters, clock, ceilings, steps, ms }: ProfileReport): string {
  const { launchMs, gflops, gigabytesPerSecond, gigaloadsPerSecond } = ceilings;
  return [
    `${device.name}${device.software ? ', in software' : ''}; ${runtime}`,
    `${model}, ${precision}${quantize === undefined ? '' : `, ${quantize}`}, ${adapters === 1 ? '1 adapter' : `${adapters} adapters`}; ` +
      `times by ${clock === 'timestamps' ? 'the device’s timestamps' : 'results in JS'}`,
    `at most: ${figure(gflops)} GFLOP/s, ${figure(gigabytesPerSecond)} GB/s, ${figure(gigaloadsPerSecond)} G loads/s; ` +
      `a launch takes ${figure(1000 * launchMs)} µs`,
    ...steps.flatMap((step) => ['', ...stepLines(step)]),
    '',
    `all of it took ${(ms / 1000).toFixed(1)} s`,
  ].join('\n');
}

const HEADS = ['kernel', 'dispatches', 'ms', 'GFLOP/s', 'GB/s', 'floor', 'of floor', 'of step'];

function stepLines(step: ProfiledStep): string[] {
  const {
    step: name,
    rows,
    keys,
    kernels,
    launches,
    launchesMs,
    kernelsMs,
    floorsMs,
    gapsMs,
    stepMs,
    stepLeastMs,
    stepMostMs,
    stepOfFloors,
  } = step;
  const cells = [HEADS, ...kernels.map(kernelCells)];
  const widths = HEADS.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)));
  const line = (texts: readonly string[]): string =>
    `  ${texts.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join('  ')}`;
  return [
    `${name}: ${rows} rows, up to ${keys} keys, ${stepMs.toFixed(3)} ms (${stepLeastMs.toFixed(3)} to ${stepMostMs.toFixed(3)})`,
    ...cells.map(line),
    `  kernels ${kernelsMs.toFixed(3)} ms + gaps ${gapsMs.toFixed(3)} ms = step ${stepMs.toFixed(3)} ms`,
    `  floors ${floorsMs.toFixed(3)} ms, of which ${launches} launches ${launchesMs.toFixed(3)} ms; step of floors ${stepOfFloors.toFixed(2)}`,
  ];
}

function kernelCells({ kernel, part, dispatches, ms, gflops, gigabytesPerSecond, floorMs, share }: ProfiledKernel): string[] {
  return [
    part === undefined ? kernel : `${kernel}, ${part}`,
    String(dispatches),
    ms.toFixed(3),
    figure(gflops),
    figure(gigabytesPerSecond),
    floorMs.toFixed(3),
    (ms / floorMs).toFixed(2),
    `${(100 * share).toFixed(1)} %`,
  ];
}

/** Three digits that count. */
const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));
