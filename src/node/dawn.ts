import { invalid, requireFunction, requireOptions } from '../engine/option-checks.ts';
import type { GpuProvider } from '../engine/types.ts';
import { WebLoraError } from '../errors.ts';
import { search } from './search.ts';
import type { CreateGpu, Found } from './search.ts';

export interface DawnOptions {
  /** Takes a software device even where there is hardware. */
  readonly software?: boolean;
  /** Gets one line where a software device was taken for lack of hardware. Default: `console.error`. */
  readonly onNotice?: (line: string) => void;
}

const OPTIONS: Readonly<Record<keyof DawnOptions, true>> = { software: true, onNotice: true };

/**
 * A device for Node: WebGPU by Dawn, from the npm package `webgpu`. Hardware if there is any, else SwiftShader (or another software
 * driver as a last resort), told in one line to `onNotice`. On Linux neither a Vulkan loader nor a driver has to be installed: they
 * come out of an installed Chromium or the npm package `@sparticuz/chromium`. Repeated calls share one Dawn instance, which lives as
 * long as the process and does not keep it from ending.
 *
 * @throws TypeError for unknown options. @throws WebLoraError `gpu_missing` where `webgpu` is not installed or does not load, or where no device was found; the message
 * lists everything that was looked for.
 */
export async function dawn(options: DawnOptions = {}): Promise<GpuProvider> {
  requireOptions('dawn', options, OPTIONS);
  requireFunction('onNotice', options.onNotice);
  if (typeof (options.software ?? true) !== 'boolean') throw invalid('software', options.software, 'true or false');
  const found = await shared(options.software === true ? 'software' : 'any');
  if (found.kind === 'software' && options.software !== true) {
    const notice = options.onNotice ?? ((line: string) => console.error(line));
    notice(`No GPU found: running in software on ${found.name}. This is slow; it computes the same.`);
  }
  return found.provider;
}

/** Successful searches of this process. */
const known = new Map<'any' | 'software', Found>();
let queue: Promise<unknown> = Promise.resolve();

/** One search at a time: a search changes the environment while it lasts. */
function shared(want: 'any' | 'software'): Promise<Found> {
  const turn = queue.then(async () => {
    const found = known.get(want) ?? (await search(await loadDawn(), want));
    known.set(want, found);
    return found;
  });
  queue = turn.catch(() => undefined);
  return turn;
}

async function loadDawn(): Promise<CreateGpu> {
  try {
    const { create } = await import('webgpu');
    return create;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ERR_MODULE_NOT_FOUND' && reason.includes("'webgpu'")) {
      const message = "WebGPU in Node needs the npm package 'webgpu', which is not installed: npm install webgpu";
      throw new WebLoraError('gpu_missing', message, { cause });
    }
    const hint = /GLIBC|libstdc/i.test(reason) ? ' It needs a newer system library; another version of the package may load here.' : '';
    throw new WebLoraError(
      'gpu_missing',
      `The npm package 'webgpu' is installed, but its binary for ${process.platform} ${process.arch} does not load: ${reason}${hint}`,
      { cause },
    );
  }
}
