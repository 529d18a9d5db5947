import type { Kernel } from '../../src/gpu/kernel.ts';

/** Text of shaders/*.wgsl and shaders/lib/*.wgsl by path below shaders/, without `.wgsl`: `lib/step`, `embed`. */
export const FILES: ReadonlyMap<string, string> = new Map(
  Object.entries(import.meta.glob<string>('../../shaders/**/*.wgsl', { query: '?raw', import: 'default', eager: true })).map(
    ([path, text]) => [path.replace('../../shaders/', '').replace('.wgsl', ''), text] as const,
  ),
);

const isKernel = (value: unknown): value is Kernel =>
  typeof value === 'object' && value !== null && 'buffers' in value && 'source' in value;

/** Kernels of src/kernels by the name of the module that declares them. */
export const KERNELS: ReadonlyMap<string, Kernel> = new Map(
  Object.entries(import.meta.glob<Record<string, unknown>>('../../src/kernels/*.ts', { eager: true })).flatMap(([path, module]) => {
    const name = path.replace('../../src/kernels/', '').replace('.ts', '');
    return Object.values(module)
      .filter(isKernel)
      .map((kernel) => [name, kernel] as const);
  }),
);

/** Modules of src/kernels that declare no kernel. */
export const OTHER_MODULES: readonly string[] = ['libraries', 'plain', 'sampler-layout', 'step-layout', 'variants', 'wide'];

/** The text without its comments. */
export function code(text: string): string {
  return text.replace(/\/\/.*$/gm, '').replace(/\/\*[^]*?\*\//g, '');
}

/** What a file's comment `// From outside: NAMES; lib/x, lib/y-*.` says. */
export function fromOutside(text: string): { readonly names: readonly string[]; readonly libraries: readonly string[] } {
  const comment = /^\/\/ From outside: ([^.]*)\.$/m.exec(text.replace(/\n\/\/ (?=lib\/)/g, ' '))?.[1];
  const words = comment?.split(/[;,]\s*/) ?? [];
  return { names: words.filter((word) => !word.startsWith('lib/')), libraries: words.filter((word) => word.startsWith('lib/')) };
}

/** The libraries of the comment, each `lib/x-*` once for every file that it stands for: a list of sets to compile with. */
export function librarySets(patterns: readonly string[]): string[][] {
  let sets: string[][] = [[]];
  for (const pattern of patterns) {
    const matches = pattern.endsWith('*') ? [...FILES.keys()].filter((name) => name.startsWith(pattern.slice(0, -1))) : [pattern];
    sets = sets.flatMap((set) => matches.map((match) => [...set, match]));
  }
  return sets;
}

/** UPPER_CASE names that a text uses and does not declare, but WORKGROUP_SIZE, which every specialisation has; `shape.width8` is WIDTH8. */
export function undeclared(text: string): Set<string> {
  const bare = code(text);
  const declared = new Set(['WORKGROUP_SIZE', ...[...bare.matchAll(/\b(?:const|alias|override)\s+(\w+)/g)].map((match) => match[1]!)]);
  const used = [...bare.matchAll(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b/g)].map((match) => match[0]);
  const members = [...bare.matchAll(/\bshape\.(\w+)/g)].map((match) => match[1]!.toUpperCase());
  return new Set([...used.filter((name) => !declared.has(name)), ...members]);
}
