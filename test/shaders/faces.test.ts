import { describe, expect, test } from 'vitest';
import { code, FILES, fromOutside, KERNELS, librarySets, OTHER_MODULES, undeclared } from './wgsl.ts';

/** WebGPU's floor for storage buffers in one stage. */
const MOST_BUFFERS = 8;

const kernelFiles = [...FILES.keys()].filter((name) => !name.startsWith('lib/'));
const modules = Object.keys(import.meta.glob('../../src/kernels/*.ts')).map((path) => path.replace(/^.*\/(.*)\.ts$/, '$1'));

const text = (name: string): string => {
  const found = FILES.get(name);
  if (found === undefined) throw new Error(`shaders/${name}.wgsl does not exist`);
  return found;
};

/** Names that libraries say they take: every kernel that has the library must give them. */
function namesOf(libraries: readonly string[]): string[] {
  return libraries.flatMap((library) => fromOutside(text(library)).names);
}

/** Bindings as the file declares them, by number. */
function bindings(source: string) {
  const pattern = /@group\((\d+)\)\s*@binding\((\d+)\)\s*var<storage,\s*(read|read_write)>\s*(\w+)\s*:/g;
  return [...code(source).matchAll(pattern)]
    .map(([, group, binding, access, name]) => ({ group: Number(group), binding: Number(binding), name, access }))
    .sort((a, b) => a.binding - b.binding);
}

test('every shader has a module in src/kernels and the other way round', () => {
  expect([...KERNELS.keys()].sort()).toEqual(kernelFiles.toSorted());
  expect(modules.toSorted()).toEqual([...kernelFiles, ...OTHER_MODULES].sort());
  expect(kernelFiles.length).toBeGreaterThan(0);
});

describe.each([...KERNELS].map(([name, kernel]) => ({ name, kernel })))('$name', ({ name, kernel }) => {
  test('is the file of its name', () => {
    expect(kernel.label).toBe(name);
    expect(kernel.source).toBe(text(name));
  });

  test('binds what its module says', () => {
    const declared = Object.entries(kernel.buffers).map(([buffer, access], binding) => ({ group: 0, binding, name: buffer, access }));
    expect(bindings(kernel.source)).toEqual(declared);
    expect(code(kernel.source).match(/@binding/g)).toHaveLength(declared.length);
    expect(declared.length).toBeLessThanOrEqual(MOST_BUFFERS);
  });

  test('uses the names that its module lists, and no others', () => {
    expect(new Set(kernel.constants).size).toBe(kernel.constants.length);
    for (const libraries of librarySets(fromOutside(kernel.source).libraries)) {
      const used = new Set([...undeclared([kernel.source, ...libraries.map(text)].join('\n')), ...namesOf(libraries)]);
      expect([...used].sort()).toEqual(kernel.constants.toSorted());
    }
  });

  test('reads at run time what its module says', () => {
    const members = [...code(kernel.source).matchAll(/\bshape\.(\w+)/g)].map((match) => match[1]!.toUpperCase());
    expect([...new Set(members)].sort()).toEqual((kernel.runtime ?? []).toSorted());
  });

  test('says in its comment what it takes from outside', () => {
    const { names, libraries } = fromOutside(kernel.source);
    const set = librarySets(libraries)[0]!;
    const ofLibraries = namesOf(set);
    const own = [...undeclared([kernel.source, ...set.map(text)].join('\n'))].filter((used) => !ofLibraries.includes(used));
    expect(names.toSorted()).toEqual(own.sort());
  });
});

test.each([...FILES.keys()].filter((name) => name.startsWith('lib/')))('%s.wgsl says all that it takes from outside', (name) => {
  for (const all of librarySets([name, ...fromOutside(text(name)).libraries])) {
    expect(namesOf(all)).toEqual(expect.arrayContaining([...undeclared(all.map(text).join('\n'))]));
  }
});

describe.each([...FILES].map(([name, source]) => ({ name, source: code(source) })))('$name.wgsl', ({ source }) => {
  // naga, which Deno and Firefox compile with, refuses the first two; the rest is what every device has.
  test('gives no function a storage pointer', () => {
    expect(source).not.toMatch(/ptr\s*<\s*storage/);
    // atomics take a pointer everywhere
    expect(source.replace(/\batomic\w+\(&/g, '(')).not.toMatch(/[(,]\s*&\s*\w/);
  });

  test('assigns to no swizzle', () => {
    expect(source).not.toMatch(/\.\s*(?:[xyzw]{2,4}|[rgba]{2,4})\s*(?:[-+*/%&|^]|<<|>>)?=(?!=)/);
  });

  test('needs no feature', () => {
    expect(source).not.toMatch(/^\s*(?:enable|requires)\b/m);
  });
});
