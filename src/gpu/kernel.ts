/** What a `.wgsl` file binds and which names it takes from outside; the typed face of one kernel. */
export interface Kernel<Binding extends string = string> {
  readonly label: string;
  readonly source: string;
  /** Bindings of group 0 in the order of `@binding`. */
  readonly buffers: Readonly<Record<Binding, 'read' | 'read_write'>>;
  /** Names that the file uses and a specialisation must give. */
  readonly constants: readonly string[];
  /**
   * Those of the constants that are read at run time, as members of the uniform `shape` in lower case (`shape.width8`): one pipeline then
   * serves all shapes, where a compiler is slow and its loops gain nothing from known bounds. u32 only; a bool is 0 or 1.
   */
  readonly runtime?: readonly string[];
  /** `compiled`: they are compiled in after all, a pipeline a shape, where a compiler is quick and its loops gain. */
  readonly shapes?: 'compiled';
  /** Invocations of a workgroup; default `WORKGROUP_SIZE`. */
  readonly workgroupSize?: number;
  /** WGSL extensions that its text needs; the device must have them. */
  readonly enables?: readonly ('f16' | 'subgroups')[];
  /** Libraries that make it this variant of its file, besides those that every variant is given. */
  readonly ownLibraries?: readonly string[];
  /** Constants that make it this variant; whoever specialises it gives the others. */
  readonly ownConstants?: Readonly<Record<string, Constant>>;
}

/** A u32 (number), a bool, or an f32 (`{ f32 }`). */
export type Constant = number | boolean | { readonly f32: number };

export interface Specialisation {
  readonly constants: Readonly<Record<string, Constant>>;
  /** Whole files of shaders/lib that the kernel calls. */
  readonly libraries: readonly string[];
}

/** Invocations of a workgroup that needs no other number: without a barrier any will do. */
export const WORKGROUP_SIZE = 64;

export function defineKernel<Binding extends string>(kernel: Kernel<Binding>): Kernel<Binding> {
  return kernel;
}

/**
 * The text that is compiled: the file, then its libraries, then one `const` per name, and the uniform `shape` behind the buffers' bindings.
 * Module scope in WGSL has no order, so appending keeps the compiler's line numbers true to the file. Only `enable` has to come first: it
 * goes before the first line.
 * @throws RangeError for a constant that is missing, unknown, or no u32.
 */
export function specialise(kernel: Kernel, { constants, libraries }: Specialisation): string {
  const { enables = [], ownLibraries = [], ownConstants = {}, runtime = [] } = kernel;
  const given = { WORKGROUP_SIZE: kernel.workgroupSize ?? WORKGROUP_SIZE, ...ownConstants, ...constants };
  for (const name of kernel.constants) {
    if (!(name in given)) throw new RangeError(`${kernel.label}: constant ${name} is missing`);
  }
  for (const name of Object.keys({ ...ownConstants, ...constants })) {
    if (!kernel.constants.includes(name)) throw new RangeError(`${kernel.label}: unknown constant ${name}`);
  }
  for (const name of Object.keys(constants)) {
    if (name in ownConstants) throw new RangeError(`${kernel.label}: constant ${name} is the variant's own`);
  }
  const fixed = Object.entries(given).filter(([name]) => !runtime.includes(name));
  const lines = fixed.map(([name, value]) => `const ${name} = ${literal(`${kernel.label}.${name}`, value)};`);
  if (runtime.length > 0) {
    lines.push(`struct Shape { ${runtime.map((name) => `${name.toLowerCase()}: u32`).join(', ')} }`);
    lines.push(
      hasUniform(kernel)
        ? `@group(0) @binding(${Object.keys(kernel.buffers).length}) var<uniform> shape: Shape;`
        : `const shape = Shape(${shapeWords(kernel, constants).join('u, ')}u);`,
    );
  }
  const first = enables.map((extension) => `enable ${extension}; `).join('');
  return [first + kernel.source, ...libraries, ...ownLibraries, lines.join('\n'), ''].join('\n');
}

/** Whether a uniform `shape` is bound behind the buffers. */
export const hasUniform = ({ runtime = [], shapes }: Kernel): boolean => runtime.length > 0 && shapes !== 'compiled';

/** The words of `shape`. Throws RangeError for what is no u32. */
export function shapeWords({ label, runtime = [] }: Kernel, constants: Specialisation['constants']): number[] {
  return runtime.map((name) => {
    const value = Number(constants[name]);
    checkWord(`${label}.${name}`, value);
    return value;
  });
}

function checkWord(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw new RangeError(`${name}: ${value} is no u32`);
}

function literal(name: string, value: Constant): string {
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    checkWord(name, value);
    return `${value}u`;
  }
  if (!Number.isFinite(value.f32)) throw new RangeError(`${name}: ${value.f32} is no finite f32`);
  return `f32(${value.f32})`;
}
