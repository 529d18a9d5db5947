import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { GpuProvider } from '../engine/types.ts';
import { WebLoraError } from '../errors.ts';
import { hardwareHint, softwarePlaces, systemDrivers } from './drivers.ts';
import type { Place } from './drivers.ts';
import { holdLibrary, namedDrivers, withDrivers } from './vulkan.ts';

const LOADER = 'libvulkan.so.1';
const FAST: GPURequestAdapterOptions = { powerPreference: 'high-performance' };
const SOFTWARE: GPURequestAdapterOptions = { forceFallbackAdapter: true };

/** `create` of the npm package `webgpu`. */
export type CreateGpu = (flags: string[]) => GPU;

/** A device that was found. */
export interface Found {
  readonly provider: GpuProvider;
  readonly kind: 'hardware' | 'software';
  /** The driver, for people. */
  readonly name: string;
}

/**
 * Finds hardware (unless only software is wanted), else a software device.
 *
 * @throws WebLoraError `gpu_missing` with everything that was looked for.
 */
export async function search(create: CreateGpu, want: 'any' | 'software'): Promise<Found> {
  const looked: string[] = [];
  const found = process.platform === 'linux' ? await searchLinux(create, want, looked) : await searchSystem(create, want, looked);
  if (found !== undefined) return found;
  const what = want === 'any' ? 'No GPU and no software driver was found' : 'No software driver was found';
  throw new WebLoraError('gpu_missing', `${what}. Looked for:\n${looked.map((line) => `  - ${line}`).join('\n')}\n${advice(want)}`);
}

/** Where the system itself brings WebGPU's devices: Metal, Direct3D. */
async function searchSystem(create: CreateGpu, want: 'any' | 'software', looked: string[]): Promise<Found | undefined> {
  const first = want === 'any' ? await attempt(create, FAST) : undefined;
  if (first !== undefined) return first;
  if (want === 'any') looked.push(`a GPU of this ${process.platform} ${process.arch} machine: none that Dawn takes`);
  const last = await attempt(create, SOFTWARE);
  if (last?.kind === 'software') return last;
  looked.push(`a software device of the system: none on ${process.platform} ${process.arch}`);
  return undefined;
}

async function searchLinux(create: CreateGpu, want: 'any' | 'software', looked: string[]): Promise<Found | undefined> {
  const places = softwarePlaces();
  const seen: Place[] = [];
  if (!(await holdLoader(places, seen))) {
    looked.push(`a Vulkan loader (${LOADER}) of the system or beside one of these drivers: none`, ...seen.map(nothingAt));
    return undefined;
  }
  const first = want === 'any' ? await tryHardware(create, looked) : undefined;
  // Drivers that the environment names are the user's choice, software or not.
  if (first?.kind === 'hardware' || (first !== undefined && namedDrivers() !== undefined)) return first;
  for await (const place of chain(seen, places)) {
    const found = await tryPlace(create, place, looked);
    if (found !== undefined) return found;
  }
  if (first !== undefined) return first;
  const others = systemDrivers();
  const last = others.length > 0 ? await withDrivers(undefined, () => attempt(create, SOFTWARE)) : undefined;
  if (last?.kind === 'software') return last;
  looked.push(`another software driver among ${others.length > 0 ? others.join(', ') : "the system's ICD files"}: none that Dawn takes`);
  return undefined;
}

/** Dawn writes warnings to standard error where drivers find no hardware, so it is only asked where there is a sign of some. */
async function tryHardware(create: CreateGpu, looked: string[]): Promise<Found | undefined> {
  const named = namedDrivers();
  const hint = named === undefined ? hardwareHint() : undefined;
  if (typeof hint === 'object') looked.push(`a GPU: ${hint.missing}`);
  if (typeof hint === 'object' || named?.some((path) => existsSync(path)) === false) return undefined;
  const found = await withDrivers(undefined, () => attempt(create, FAST));
  if (found?.kind !== 'hardware') looked.push('a GPU: none that Dawn takes');
  return found;
}

async function tryPlace(create: CreateGpu, place: Place, looked: string[]): Promise<Found | undefined> {
  if (place.icds.length === 0) looked.push(nothingAt(place));
  for (const icd of place.icds) {
    const found = await withDrivers(icd, () => attempt(create, FAST));
    if (found?.kind === 'software') return found;
    const what = found === undefined ? 'does not load, or Dawn refuses it' : `is hardware (${found.name})`;
    looked.push(`${place.name}: ${icd} ${what}`);
  }
  return undefined;
}

/** Loads the system's Vulkan loader or, without one, the first that lies beside a driver. Adds the places it went through to `seen`. */
async function holdLoader(places: AsyncGenerator<Place>, seen: Place[]): Promise<boolean> {
  if (holdLibrary(LOADER)) return true;
  for (let next = await places.next(); next.done !== true; next = await places.next()) {
    seen.push(next.value);
    const files = next.value.icds.map((icd) => join(dirname(icd), LOADER)).filter((file) => existsSync(file));
    if (files.some(holdLibrary)) return true;
  }
  return false;
}

async function* chain(seen: readonly Place[], rest: AsyncGenerator<Place>): AsyncGenerator<Place> {
  yield* seen;
  yield* rest;
}

function nothingAt(place: Place): string {
  return `${place.name}: ${place.icds.length > 0 ? place.icds.join(', ') : (place.reason ?? 'none')}`;
}

/** Dawn crashes where an instance is collected before its devices, so none ever is. */
const instances: GPU[] = [];

/** Asks a Dawn instance of its own (an instance keeps the drivers that it saw first); undefined where it has no adapter. */
async function attempt(create: CreateGpu, defaults: GPURequestAdapterOptions): Promise<Found | undefined> {
  const gpu = create([]);
  instances.push(gpu);
  const adapter = await gpu.requestAdapter(defaults).catch(() => null);
  if (adapter === null) return undefined;
  const { info } = adapter;
  const words = `${info.vendor} ${info.architecture} ${info.description}`;
  const software = info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(words);
  return {
    provider: { requestAdapter: (options?: GPURequestAdapterOptions) => gpu.requestAdapter({ ...defaults, ...options }) },
    kind: software ? 'software' : 'hardware',
    name: info.description || words.trim(),
  };
}

function advice(want: 'any' | 'software'): string {
  if (process.platform !== 'linux') {
    const without = want === 'software' ? ': run without asking for software' : '';
    return `On ${process.platform} only the system's own devices are used; there is no software driver to install${without}.`;
  }
  const driver = want === 'any' ? "install the GPU's Vulkan driver, or " : '';
  const bring = process.arch === 'x64' ? 'npm install @sparticuz/chromium (it brings SwiftShader), or install' : 'install';
  return `To get one: ${driver}${bring} Chromium, or Mesa's software driver (Debian: apt-get install mesa-vulkan-drivers libvulkan1).`;
}
