import { WebLoraError } from '../errors.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Pipelines } from '../gpu/pipelines.ts';
import { CHUNK_SAMPLER, type KernelSet } from '../kernels/variants.ts';
import { KERNEL_ROLES, type KernelCase, type KernelRole, type Words } from './kernel-data.ts';
import { candidatesOf, differenceOf, runKernels, runsOf, type Candidate, type KernelOutcome, type KernelRun } from './kernel-runs.ts';

export type FamilyName = 'narrow' | 'wide' | 'plain';

/** A set of kernels under the name that people know it by. */
export interface Family {
  readonly name: FamilyName;
  readonly set: KernelSet;
}

/** What a check found out about one variant. */
export interface Verdict {
  readonly family: FamilyName;
  readonly role: KernelRole;
  readonly variant: string;
  /** What it did wrong; undefined where it did nothing wrong. */
  readonly wrong: string | undefined;
}

/**
 * Runs families, the preferred one first and the plain loops among them, until every hot kernel has variants that compute what their
 * plain twin computes on the same device; families of one name are next to each other. The plain twins are held to loops on the CPU
 * first; where one is wrong there, the loop takes its place as the twin.
 * @throws WebLoraError `device_lost`, `out_of_memory`.
 */
export async function checkFamilies(
  gpu: Gpu,
  pipelines: Pipelines,
  families: readonly Family[],
  cases: readonly KernelCase[],
): Promise<readonly Verdict[]> {
  const plain = families.find(({ name }) => name === 'plain')!;
  const plainRuns = KERNEL_ROLES.flatMap((role) => runsOf(candidatesOf(plain.set, role), cases));
  const twins = new Map<KernelCase, Words>();
  const verdicts: Verdict[] = [];
  const judge = (
    family: Family,
    runs: readonly KernelRun[],
    outcomes: readonly KernelOutcome[],
    twinOf: (of: KernelCase) => Words,
  ): void => {
    const wrongs = runs.map(({ of }, i) => wrongIn(outcomes[i]!, of, twinOf(of)));
    for (const candidate of new Set(runs.map((run) => run.candidate))) {
      const wrong = wrongs.find((found, i) => runs[i]!.candidate === candidate && found !== undefined);
      verdicts.push({ family: family.name, role: candidate.role, variant: candidate.name, wrong });
    }
  };
  let pending: readonly KernelRole[] = KERNEL_ROLES;
  for (const [index, family] of families.entries()) {
    if (family.name === 'plain') continue;
    const runs = pending.flatMap((role) => runsOf(candidatesOf(family.set, role), cases));
    // one submit, and one wait for what comes back, for the twins and the first family
    const outcomes = await runKernels(gpu, pipelines, index === 0 ? [...plainRuns, ...runs] : runs);
    if (index === 0) judgePlain(outcomes.slice(0, plainRuns.length));
    judge(family, runs, index === 0 ? outcomes.slice(plainRuns.length) : outcomes, (of) => twins.get(of)!);
    const tried = families.slice(0, index + 1);
    pending = pending.filter((role) => !isSettled(tried, families[index + 1]?.name, role, verdicts));
    if (pending.length === 0) break;
  }
  if (twins.size === 0) judgePlain(await runKernels(gpu, pipelines, plainRuns));
  return verdicts;

  function judgePlain(outcomes: readonly KernelOutcome[]): void {
    const loops = new Map(cases.map((of) => [of, of.expected()]));
    judge(plain, plainRuns, outcomes, (of) => loops.get(of)!);
    for (const [i, { of }] of plainRuns.entries()) {
      const outcome = outcomes[i]!;
      const loop = loops.get(of)!;
      twins.set(of, 'words' in outcome && wrongIn(outcome, of, loop) === undefined ? outcome.words : loop);
    }
  }
}

function wrongIn(outcome: KernelOutcome, of: KernelCase, twin: Words): string | undefined {
  const wrong = 'failure' in outcome ? outcome.failure : differenceOf(of, outcome.words, twin);
  return wrong === undefined ? undefined : `${of.name}: ${wrong}`;
}

/**
 * What of a family can compute a kernel by these verdicts: candidates that did nothing wrong, others of them taking over from those that
 * did. Undefined where one is wrong, or was not looked at, that none can take over from.
 */
export function servingIn({ name, set }: Family, role: KernelRole, verdicts: readonly Verdict[]): readonly Candidate[] | undefined {
  const all = candidatesOf(set, role);
  // the plain sampler is looked at beside another only: nothing could take its place, and it takes software devices long to compile
  if (role === 'sampler' && set.sampler === CHUNK_SAMPLER && verdicts.every((verdict) => verdict.role !== role)) return all;
  const isSound = ({ name: variant }: Candidate): boolean =>
    verdicts.some(
      (verdict) => verdict.family === name && verdict.role === role && verdict.variant === variant && verdict.wrong === undefined,
    );
  const sound = all.filter(isSound);
  return all.every((candidate) => candidate.serves === 'some' || sound.includes(candidate)) ? sound : undefined;
}

/** A family that can compute a kernel, and with which of its candidates. */
interface Server {
  readonly family: Family;
  readonly candidates: readonly Candidate[];
}

/** What serves each kernel: the first family that can. */
export type Serving = Readonly<Record<KernelRole, Server>>;

const isWhole = ({ family, candidates }: Server, role: KernelRole): boolean => candidates.length === candidatesOf(family.set, role).length;

/** What serves among families of one name: the first of which nothing is wrong, else the first in which others take over. */
function serverAmong(families: readonly Family[], role: KernelRole, verdicts: readonly Verdict[]): Server | undefined {
  const servers = families.flatMap((family): Server[] => {
    const candidates = servingIn(family, role, verdicts);
    return candidates ? [{ family, candidates }] : [];
  });
  return servers.find((server) => isWhole(server, role)) ?? servers[0];
}

/** Whether families behind those that were tried could not serve a kernel any better. */
function isSettled(tried: readonly Family[], next: FamilyName | undefined, role: KernelRole, verdicts: readonly Verdict[]): boolean {
  const { name } = tried.at(-1)!;
  const server = serverAmong(
    tried.filter((family) => family.name === name),
    role,
    verdicts,
  );
  return server !== undefined && (next !== name || isWhole(server, role));
}

/**
 * The first name in the list, for each kernel, under which a family computes it soundly by these verdicts.
 * @throws WebLoraError `shader_invalid` where none does, the plain loop included: nothing that this device computes could be trusted.
 */
export function servingOf(families: readonly Family[], verdicts: readonly Verdict[], device: string): Serving {
  const entries = KERNEL_ROLES.map((role) => {
    for (const name of new Set(families.map((family) => family.name))) {
      const server = serverAmong(
        families.filter((family) => family.name === name),
        role,
        verdicts,
      );
      if (server) return [role, server] as const;
    }
    const wrongs = verdicts
      .filter((verdict) => verdict.role === role)
      .map(({ family, variant, wrong }) => `  ${family} ${variant}: ${wrong ?? 'sound, for some steps only'}`);
    throw new WebLoraError(
      'shader_invalid',
      `${device} computes ${role} wrongly in every way that there is; is its driver up to date?\n${wrongs.join('\n')}`,
    );
  });
  return Object.fromEntries(entries) as unknown as Serving;
}

/** The set that a model is built with. */
export function setOf({ matmul, shrink, expand, attention, norm, sampler }: Serving): KernelSet {
  const isServing = ({ candidates }: Serving[KernelRole], name: string | undefined): boolean =>
    candidates.some((each) => each.name === name);
  const { attentionPrefill, attentionSplit } = attention.family.set;
  const { shrinkOne, fullRows } = shrink.family.set;
  const { expandOne } = expand.family.set;
  const { ropeHeads } = norm.family.set;
  const shrinksOne = shrinkOne && isServing(shrink, shrinkOne.name);
  const expandsOne = expandOne && isServing(expand, expandOne.name);
  return {
    matmul: matmul.family.set.matmul
      .filter(({ variant }) => isServing(matmul, variant.name))
      .map((each, i, { length }) => (i === length - 1 ? { ...each, mostRows: Infinity } : each)),
    shrink: shrink.family.set.shrink,
    expand: expand.family.set.expand,
    ...(shrinksOne && { shrinkOne }),
    ...(expandsOne && { expandOne }),
    ...(shrinksOne && expandsOne && fullRows !== undefined && { fullRows }),
    attention: attention.family.set.attention,
    ...(attentionPrefill && isServing(attention, attentionPrefill.name) && { attentionPrefill }),
    ...(attentionSplit && isServing(attention, attentionSplit.split.name) && { attentionSplit }),
    rmsNorm: norm.family.set.rmsNorm,
    ...(ropeHeads && { ropeHeads }),
    sampler: sampler.family.set.sampler,
  };
}
