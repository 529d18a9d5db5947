/** What a `.wgsl` file binds and which names it takes from outside; the typed face of one kernel. */
export interface Kernel<Binding extends string = string> {
  readonly label: string;
  readonly source: string;
  /** Bindings of group 0 in the order of `@binding`. */
  readonly buffers: Readonly<Record<Binding, 'read' | 'read_write'>>;
  /** Names that the file uses and a specialisation must give. */
  readonly constants: readonly string[];
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
 * The text that is compiled: the file, then its libraries, then one `const` per name. Module scope in WGSL has no order, so
 * appending keeps the compiler's line numbers true to the file. Only `enable` has to come first: it goes before the first line.
 * @throws RangeError for a constant that is missing, unknown, or no u32.
 */
export function specialise(kernel: Kernel, { constants, libraries }: Specialisation): string {
  const { enables = [], ownLibraries = [], ownConstants = {} } = kernel;
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
  const lines = Object.entries(given).map(([name, value]) => `const ${name} = ${literal(`${kernel.label}.${name}`, value)};`);
  const first = enables.map((extension) => `enable ${extension}; `).join('');
  return [first + kernel.source, ...libraries, ...ownLibraries, lines.join('\n'), ''].join('\n');
}

function literal(name: string, value: Constant): string {
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw new RangeError(`${name}: ${value} is no u32`);
    return `${value}u`;
  }
  if (!Number.isFinite(value.f32)) throw new RangeError(`${name}: ${value.f32} is no finite f32`);
  return `f32(${value.f32})`;
}
