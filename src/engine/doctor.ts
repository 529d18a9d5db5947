import { WebLoraError } from '../errors.ts';
import { createBuffers } from '../gpu/buffers.ts';
import { openGpu, type Gpu } from '../gpu/device.ts';
import { createPipelines, type Pipelines } from '../gpu/pipelines.ts';
import type { DiagnoseOptions, DoctorCheck, DoctorReport, DoctorTiming } from './doctor-report.ts';
import { attentionCase, kernelCases, matmulCase, normCase, type CaseTypes } from './kernel-cases.ts';
import { samplerCase } from './kernel-cases-sampler.ts';
import { expandCase, shrinkCase, type LoraShape } from './kernel-cases-lora.ts';
import { checkFamilies, servingOf, type Family, type Verdict } from './kernel-check.ts';
import { familiesOf, namesOf } from './kernel-choice.ts';
import { rowsOf, type KernelCase } from './kernel-data.ts';
import { runtimeName } from './kernel-memory.ts';
import { candidatesOf, runsOf, specialisationOf, type Candidate } from './kernel-runs.ts';
import { createClock, timeCandidates, type Clock } from './kernel-timing.ts';
import { createTimer, type Timer } from './profile-timer.ts';
import type { KernelStats } from './report-types.ts';
import type { GpuProvider } from './types.ts';

/** What families differ in; the shape of heads is that of the small model. */
const FAMILIES: Omit<CaseTypes, 'weights' | 'pool'> = {
  ...{ group: 2, headDim: 32, norms: 'around' },
  attention: [
    { window: 'no', cap: 'no' },
    { window: 'yes', cap: 'no' },
    { window: 'yes', cap: 'yes' },
  ],
};

/** The number types that are looked at. */
const TYPES: Readonly<Record<'exact' | 'half', CaseTypes>> = {
  exact: { ...FAMILIES, weights: ['f32'], pool: 'f32' },
  half: { ...FAMILIES, weights: ['f16', 'q8', 'q4'], pool: 'f16' },
};

/** One part of an examination, and what it is called while it runs. */
interface Part {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** Everything that parts add to. */
interface Findings {
  readonly gpu: Gpu;
  readonly pipelines: Pipelines;
  readonly clock: Clock;
  readonly timer: Promise<Timer>;
  readonly verdicts: Record<'exact' | 'half', Verdict[]>;
  readonly timings: DoctorTiming[];
}

/** See `diagnose`. */
export async function examine(provider: GpuProvider, { onProgress, signal }: DiagnoseOptions): Promise<DoctorReport> {
  const started = performance.now();
  const adapter = (await provider.requestAdapter({ powerPreference: 'high-performance' })) as GPUAdapter | null;
  const gpu = await openGpu(provider);
  const clock = createClock(gpu);
  const timer = createTimer(clock);
  timer.catch(() => undefined); // a loss is told by the first part
  const findings: Findings = {
    gpu,
    pipelines: createPipelines(gpu.device, createBuffers(gpu.device)),
    clock,
    timer,
    verdicts: { exact: [], half: [] },
    timings: [],
  };
  try {
    // a processor never gets the wide kernels, whose barriers take it minutes: one look at them in half is enough
    const wish = gpu.software ? 'narrow' : 'wide';
    const families = {
      exact: await familiesOf(gpu, wish, { precision: 'exact', deterministic: false }),
      half: await familiesOf(gpu, 'wide', { precision: 'half', deterministic: false }),
    };
    const timed = gpu.software ? families.half.filter(({ name }) => name !== 'wide') : families.half;
    const parts = [
      ...(['exact', 'half'] as const).flatMap((precision) => checkParts(findings, precision, families[precision])),
      ...timingCases().map((of): Part => ({ name: `timing ${of.role}: ${of.name}`, run: () => time(findings, timed, of) })),
    ];
    for (const [done, { name, run }] of parts.entries()) {
      signal?.throwIfAborted();
      onProgress?.({ done, total: parts.length, next: name });
      await run();
      const failure = gpu.failure();
      if (failure) throw failure;
    }
    onProgress?.({ done: parts.length, total: parts.length, next: '' });
    return reportOf(findings, families, adapter, performance.now() - started);
  } finally {
    findings.clock.destroy();
    gpu.device.destroy();
  }
}

/** Each family alone against the plain loops, which are looked at once. */
function checkParts(findings: Findings, precision: 'exact' | 'half', families: readonly Family[]): Part[] {
  const { gpu, pipelines, verdicts } = findings;
  const plain = families.at(-1)!;
  return families.slice(0, -1).map((family) => ({
    name: `checking the ${family.name} kernels, ${precision}`,
    run: async () => {
      const types = TYPES[precision];
      const isExtra = gpu.software && family.name === 'wide';
      const cases = [...kernelCases(isExtra ? { ...types, weights: types.weights.slice(0, 1) } : types, 'full'), samplerCase()];
      await compileEach(pipelines, [family, plain], cases);
      for (const verdict of await checkFamilies(gpu, pipelines, [family, plain], cases)) {
        // some are looked at more than once, as the plain loops are beside each family: what was wrong once is wrong
        const known = verdicts[precision].findIndex(
          ({ family: name, role, variant }) => name === verdict.family && role === verdict.role && variant === verdict.variant,
        );
        if (known < 0) verdicts[precision].push(verdict);
        else if (verdict.wrong !== undefined) verdicts[precision][known] = verdict;
      }
    },
  }));
}

/** One after another, so that each one's time is its own; what does not compile the check finds out. */
async function compileEach(pipelines: Pipelines, families: readonly Family[], cases: readonly KernelCase[]): Promise<void> {
  for (const { set } of families) {
    for (const of of cases) {
      for (const { candidate } of runsOf(candidatesOf(set, of.role), [of])) {
        for (const { kernel } of candidate.stages) await pipelines.get(kernel, specialisationOf(kernel, of)).catch(() => undefined);
      }
    }
  }
}

/** Shapes of `public/models/frontdesk`: hidden 256, intermediate 704, 8 heads of 32 on 4, 4096 tokens. */
function timingCases(): readonly KernelCase[] {
  const plane = { type: 'f16', width: 256, outAt4: 0, output: 'replace', counted: 'batch rows' } as const;
  const gateUp = { ...plane, out4: 352, yStride4: 352 };
  const decode = Array.from({ length: 8 }, (_, slot) => rowsOf(slot, 127, 1, { logitRows: 1 }));
  const eight: LoraShape = {
    width: 256,
    outs: [256, 128, 128],
    siteFirst: 0,
    sitesInModel: 3,
    ranks: Array.from({ length: 9 }, (_, slot) => new Array<number>(3).fill(slot === 0 ? 0 : 8)),
    rows: Array.from({ length: 8 }, (_, row) => [1, [row + 1, 1]] as const),
  };
  const attention = { type: 'f16', kvHeads: 4, group: 2, headDim: 32, pagesPerRow: 8, done: [] } as const;
  return [
    ...[1, 8, 64].map((rows) => matmulCase({ ...gateUp, rows })),
    matmulCase({ ...plane, rows: 8, out4: 1024, yStride4: 1024 }),
    shrinkCase('f16', eight),
    expandCase('f16', eight),
    attentionCase({ ...attention, items: decode }),
    attentionCase({ ...attention, items: [rowsOf(0, 64, 64)] }),
    normCase({ width: 256, items: decode, gathers: [], output: 'replace' }),
    samplerCase(),
  ];
}

async function time({ gpu, pipelines, timer, verdicts, timings }: Findings, families: readonly Family[], of: KernelCase): Promise<void> {
  const named = families.flatMap((family) =>
    candidatesOf(family.set, of.role)
      .filter((candidate) => isTimed(candidate, of))
      .map((candidate) => ({ family, candidate })),
  );
  // a set may have another's variants: each is timed once, under the last name, which is its own
  const own = named.filter(
    ({ candidate }, i) => !named.slice(i + 1).some((later) => later.candidate.stages[0]!.kernel === candidate.stages[0]!.kernel),
  );
  const sound = own.filter(({ family, candidate }) => {
    return verdicts.half.some(({ family: name, role, variant, wrong }) => {
      return name === family.name && role === of.role && variant === candidate.name && wrong === undefined;
    });
  });
  const candidates = sound.map(({ candidate }) => candidate);
  for (const { candidate, ms, least, most } of await timeCandidates(gpu, pipelines, await timer, of, candidates)) {
    const { family } = sound.find((each) => each.candidate === candidate)!;
    timings.push({ kernel: of.role, shape: of.name, family: family.name, variant: candidate.name, ms, least, most });
  }
}

const isTimed = ({ mostRows }: Candidate, { rows }: KernelCase): boolean => rows <= mostRows;

function reportOf(
  { gpu, pipelines, clock, verdicts, timings }: Findings,
  families: Readonly<Record<'exact' | 'half', readonly Family[]>>,
  adapter: GPUAdapter | null,
  ms: number,
): DoctorReport {
  const checks = (['exact', 'half'] as const).flatMap((precision) =>
    verdicts[precision].map(({ role, family, variant, wrong }): DoctorCheck => ({
      precision,
      kernel: role,
      family,
      variant,
      ...(wrong !== undefined && { wrong }),
    })),
  );
  return {
    version: 1,
    at: new Date().toISOString(),
    runtime: runtimeName(),
    device: {
      name: gpu.description,
      software: gpu.software,
      info: { ...gpu.info },
      features: [...(adapter?.features ?? gpu.device.features)].sort(),
      limits: limitsOf(adapter?.limits ?? gpu.device.limits),
    },
    serving: { exact: serving(gpu, families.exact, verdicts.exact), half: serving(gpu, families.half, verdicts.half) },
    checks,
    clock: clock.kind,
    timings,
    pipelines: pipelines.compiled().map(({ label, ms: taken }) => ({ kernel: label, ms: taken })),
    ms,
  };
}

/** What an engine would take under `auto`. */
function serving(gpu: Gpu, families: readonly Family[], verdicts: readonly Verdict[]): KernelStats['serving'] | string {
  const able = gpu.software ? families.filter(({ name }) => name !== 'wide') : families;
  try {
    return namesOf(servingOf(able, verdicts, gpu.description));
  } catch (error) {
    if (error instanceof WebLoraError) return error.message;
    throw error;
  }
}

function limitsOf(limits: GPUSupportedLimits): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const name in limits) {
    const value = limits[name as keyof GPUSupportedLimits] as unknown;
    if (typeof value === 'number') found[name] = value;
  }
  return found;
}
