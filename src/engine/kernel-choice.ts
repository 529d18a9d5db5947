import type { Store } from '../adapters/store.ts';
import { loadPart } from '../errors.ts';
import { createBuffers } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createPipelines } from '../gpu/pipelines.ts';
import { PLAIN } from '../kernels/plain.ts';
import { CHUNK_SAMPLER, NARROW, NARROW_QUADS, type KernelSet } from '../kernels/variants.ts';
import { halvesOn, planeTypes, type Quantization } from '../model/plane-types.ts';
import { kernelCases, type CaseTypes } from './kernel-cases.ts';
import { KERNEL_ROLES, type KernelCase } from './kernel-data.ts';
import { checkFamilies, servingOf, setOf, type Family, type FamilyName, type Serving, type Verdict } from './kernel-check.ts';
import { checkKey, checkMemory } from './kernel-memory.ts';
import type { OpenedModel } from './load.ts';
import type { KernelStats } from './report-types.ts';

/** Which family computes where it can: `auto` takes the one for the kind of device. */
export type KernelWish = 'auto' | FamilyName;

/** The kernels that a device gets, and why these. */
export interface KernelChoice {
  readonly kernels: KernelSet;
  readonly report: Omit<KernelStats, 'compileMs'>;
}

/**
 * The families that may serve a device, the preferred one first, the plain loops last. Software devices do not get `wide`: a barrier
 * costs as much there as what it waits for.
 */
export async function familiesOf(
  { software, features }: Pick<Gpu, 'software' | 'features'>,
  wish: KernelWish,
  { precision, deterministic }: { readonly precision: 'exact' | 'half'; readonly deterministic: boolean },
): Promise<readonly Family[]> {
  const plain: Family = { name: 'plain', set: PLAIN };
  const alone: Family = { name: 'narrow', set: NARROW };
  // what quads read together is worth it where every lane's load is a load of its own, not on a GPU
  const narrow: readonly Family[] = software && features.subgroups === 'yes' ? [{ name: 'narrow', set: NARROW_QUADS }, alone] : [alone];
  const wanted = wish === 'auto' ? (software ? 'narrow' : 'wide') : wish;
  if (wanted === 'plain') return [plain];
  if (wanted === 'narrow') return [...narrow, plain];
  const { wideKernels } = await loadPart(() => import('../kernels/wide.ts'));
  const settings = { precision, deterministic: deterministic ? 'yes' : 'no' } as const;
  const set = wideKernels(features, settings);
  const wide: Family = { name: 'wide', set };
  if (software || (features.subgroups === 'no' && features.f16 === 'no')) return [wide, alone, plain];
  // a device that computes wrongly with what it has beyond WGSL's core may compute right without it
  const { matmul, rmsNorm, sampler } = wideKernels({ subgroups: 'no', f16: 'no' }, settings);
  return [wide, { name: 'wide', set: { ...set, matmul, rmsNorm, sampler } }, alone, plain];
}

/** What a model's matrices, keys and adapters will be stored as, and its heads. */
export function caseTypes(
  gpu: Pick<Gpu, 'software' | 'features'>,
  { files, config }: Pick<OpenedModel, 'files' | 'config'>,
  precision: 'exact' | 'half',
  quantize: Quantization | undefined,
): CaseTypes {
  const { heads, kvHeads, headDim, norms, attentionCap, layerKinds } = config;
  const cap = attentionCap > 0 ? 'yes' : 'no';
  const windows = new Set(layerKinds.map(({ window }) => (window === Infinity ? 'no' : 'yes')));
  const attention = [...windows].sort().map((window) => ({ window, cap }) as const);
  const rest = { pool: precision === 'exact' ? 'f32' : 'f16', group: heads / kvHeads, headDim, attention, norms } as const;
  return { ...rest, weights: planeTypes(files, { precision, quantize, halves: halvesOn(gpu, files) }) };
}

/**
 * Chooses the kernels for a device: those of the preferred family that compute what they should, by a check of a few small cases on the
 * device itself, or by what an earlier one of the same shaders on the same device found out.
 * @throws WebLoraError `shader_invalid` where a kernel is wrong in every form; `device_lost`, `out_of_memory`.
 */
export async function chooseKernels(
  gpu: Gpu,
  wish: KernelWish,
  types: CaseTypes,
  options: { readonly store: Store | undefined; readonly deterministic: boolean },
): Promise<KernelChoice> {
  const precision = types.pool === 'f32' ? 'exact' : 'half';
  const families = await familiesOf(gpu, wish, { precision, deterministic: options.deterministic });
  return chooseAmong(gpu, wish, families, types, options.store);
}

/** The same among these families. */
export async function chooseAmong(
  gpu: Gpu,
  wish: KernelWish,
  families: readonly Family[],
  types: CaseTypes,
  store: Store | undefined,
): Promise<KernelChoice> {
  const cases = [...kernelCases(types, 'short')];
  if (families[0]!.set.sampler !== CHUNK_SAMPLER) cases.push((await loadPart(() => import('./kernel-cases-sampler.ts'))).samplerCase());
  const memory = checkMemory(store);
  const key = await checkKey(gpu, families, cases);
  const started = performance.now();
  const remembered = await memory.recall(key);
  const verdicts = remembered ?? (await check(gpu, families, cases));
  const checkMs = performance.now() - started;
  const serving = servingOf(families, verdicts, gpu.description);
  // a device that nothing serves is looked at again next time: what was wrong may be a driver, or memory, that is another one by then
  if (!remembered) await memory.keep(key, verdicts);
  return {
    kernels: setOf(serving),
    report: { wish, serving: namesOf(serving), quarantined: quarantined(verdicts), check: remembered ? 'remembered' : 'made', checkMs },
  };
}

async function check(gpu: Gpu, families: readonly Family[], cases: readonly KernelCase[]): Promise<readonly Verdict[]> {
  const shapes = createBuffers(gpu.device);
  try {
    return await checkFamilies(gpu, createPipelines(gpu.device, shapes), families, cases);
  } finally {
    shapes.destroy();
  }
}

/** What serves, in words. */
export function namesOf(serving: Serving): KernelStats['serving'] {
  const names = KERNEL_ROLES.map((role) => {
    const { family, candidates } = serving[role];
    return [role, candidates.map(({ name, mostRows }) => nameOf(family.name, name, mostRows))] as const;
  });
  return Object.fromEntries(names) as unknown as KernelStats['serving'];
}

/** `narrow row (to 1 row)`, `wide-tile-f16`, `plain`: a set may have variants of another's, under that one's name. */
function nameOf(family: string, variant: string, mostRows: number): string {
  const name = /^(narrow|wide|plain)\b/.test(variant) ? variant : `${family} ${variant}`;
  return mostRows === Infinity ? name : `${name} (to ${mostRows} ${mostRows === 1 ? 'row' : 'rows'})`;
}

function quarantined(verdicts: readonly Verdict[]): KernelStats['quarantined'] {
  return verdicts.flatMap(({ family, role, variant, wrong }) =>
    wrong === undefined ? [] : [{ kernel: role, family, variant, why: wrong }],
  );
}
