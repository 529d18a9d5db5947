import { WebLoraError } from '../errors.ts';
import type { Buffers } from './buffers.ts';
import { hasUniform, shapeWords, specialise, WORKGROUP_SIZE, type Kernel, type Specialisation } from './kernel.ts';

/** A compiled specialisation of a kernel and the layout its bind groups have. */
export interface Pipeline<Binding extends string = string> {
  readonly kernel: Kernel<Binding>;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** What the kernel reads at run time; undefined: nothing. */
  readonly shape: GPUBuffer | undefined;
}

/** A buffer whole, or the part of it that starts at `offset` (a multiple of 256) and is `size` bytes long. */
export type Bound = GPUBuffer | { readonly buffer: GPUBuffer; readonly offset: number; readonly size: number };

/** A pipeline with its buffers: everything a dispatch needs but the number of workgroups. */
export interface Dispatch {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  /** Invocations of a workgroup. */
  readonly workgroupSize: number;
}

export interface Pipelines {
  /** Compiles a specialisation, once per text. Throws `shader_invalid` with the compiler's words. */
  get<Binding extends string>(kernel: Kernel<Binding>, specialisation: Specialisation): Promise<Pipeline<Binding>>;
  bind<Binding extends string>(pipeline: Pipeline<Binding>, buffers: Readonly<Record<Binding, Bound>>): Dispatch;
  /** What was compiled so far, in the order in which it was done. */
  compiled(): readonly Compiled[];
}

/** A pipeline's kernel, and how long the device took from being asked for it; several at once wait for each other. */
export interface Compiled {
  readonly label: string;
  readonly ms: number;
}

const COMPUTE_STAGE = 0x4;

/** What kernels read at run time lies in `buffers`, as long as these are there. */
export function createPipelines(device: GPUDevice, buffers: Pick<Buffers, 'uniform'>): Pipelines {
  const compiled = new Map<string, Promise<GPUComputePipeline>>();
  const layouts = new Map<string, GPUBindGroupLayout>();
  const shapes = new Map<string, GPUBuffer>();
  const times: Compiled[] = [];

  const layoutOf = (kernel: Kernel): GPUBindGroupLayout => {
    const key = [kernel.label, ...Object.keys(kernel.buffers), hasUniform(kernel)].join();
    let layout = layouts.get(key);
    if (!layout) {
      const types: GPUBufferBindingType[] = Object.values(kernel.buffers).map((access) =>
        access === 'read' ? 'read-only-storage' : 'storage',
      );
      if (hasUniform(kernel)) types.push('uniform');
      const entries = types.map((type, binding) => ({ binding, visibility: COMPUTE_STAGE, buffer: { type } }));
      layout = device.createBindGroupLayout({ label: kernel.label, entries });
      layouts.set(key, layout);
    }
    return layout;
  };

  const shapeOf = (kernel: Kernel, { constants }: Specialisation): GPUBuffer | undefined => {
    if (!hasUniform(kernel)) return undefined;
    const words = shapeWords(kernel, constants);
    const key = words.join();
    let shape = shapes.get(key);
    if (!shape) {
      shape = buffers.uniform('shape', words.length * 4);
      device.queue.writeBuffer(shape, 0, Uint32Array.from(words));
      shapes.set(key, shape);
    }
    return shape;
  };

  const compile = async (kernel: Kernel, code: string): Promise<GPUComputePipeline> => {
    const started = performance.now();
    // the promise below tells what is wrong with it: uncaught, the error would end the device's work for all others, too
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: kernel.label, code });
    void device.popErrorScope().catch(() => undefined);
    const layout = device.createPipelineLayout({ label: kernel.label, bindGroupLayouts: [layoutOf(kernel)] });
    try {
      const pipeline = await device.createComputePipelineAsync({ label: kernel.label, layout, compute: { module, entryPoint: 'main' } });
      times.push({ label: kernel.label, ms: performance.now() - started });
      return pipeline;
    } catch (cause) {
      // a device that is lost has no words left; what came first is told all the same
      const info = await module.getCompilationInfo().catch(() => undefined);
      const lines = (info?.messages ?? []).map((message) => `  ${message.lineNum}:${message.linePos} ${message.message}`).join('\n');
      throw new WebLoraError('shader_invalid', `${kernel.label}.wgsl does not compile on this device: ${String(cause)}\n${lines}`, {
        cause,
      });
    }
  };

  return {
    get: async (kernel, specialisation) => {
      const code = specialise(kernel, specialisation);
      let pipeline = compiled.get(code);
      if (!pipeline) {
        pipeline = compile(kernel, code);
        compiled.set(code, pipeline);
        pipeline.catch(() => compiled.delete(code)); // a compiler may have failed for want of memory
      }
      return { kernel, pipeline: await pipeline, layout: layoutOf(kernel), shape: shapeOf(kernel, specialisation) };
    },
    bind: ({ kernel, pipeline, layout, shape }, buffers) => {
      const entries: GPUBindGroupEntry[] = Object.keys(kernel.buffers).map((name, binding) => {
        const bound = buffers[name as keyof typeof buffers] as Bound;
        return { binding, resource: 'buffer' in bound ? bound : { buffer: bound } };
      });
      if (shape) entries.push({ binding: entries.length, resource: { buffer: shape } });
      const bindGroup = device.createBindGroup({ label: kernel.label, layout, entries });
      return { label: kernel.label, pipeline, bindGroup, workgroupSize: kernel.workgroupSize ?? WORKGROUP_SIZE };
    },
    compiled: () => times,
  };
}
