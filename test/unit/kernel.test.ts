import { describe, expect, test } from 'vitest';
import { defineKernel, hasUniform, shapeWords, specialise } from '../../src/gpu/kernel.ts';

const kernel = defineKernel({
  label: 'some',
  source: '// first\n// second\n',
  buffers: {},
  constants: ['A', 'B'],
  workgroupSize: 128,
  enables: ['f16', 'subgroups'],
  ownLibraries: ['// own'],
  ownConstants: { B: true },
});

describe('the text of a specialisation', () => {
  test('is the file with its lines where they were, libraries and constants behind it, extensions before it', () => {
    const text = specialise(kernel, { constants: { A: 3 }, libraries: ['// library'] });
    expect(text.split('\n')).toEqual([
      'enable f16; enable subgroups; // first',
      '// second',
      '',
      '// library',
      '// own',
      'const WORKGROUP_SIZE = 128u;',
      'const B = true;',
      'const A = 3u;',
      '',
    ]);
  });

  test('has what is read at run time as a uniform, or compiled in', () => {
    const shaped = defineKernel({ ...kernel, constants: ['A', 'B', 'WIDTH', 'ADD'], runtime: ['WIDTH', 'ADD'] });
    const given = { constants: { A: 3, WIDTH: 7, ADD: true }, libraries: [] };
    const struct = 'struct Shape { width: u32, add: u32 }';
    const lines = (text: string): string[] => text.split('\n').slice(-3, -1);
    expect(lines(specialise(shaped, given))).toEqual([struct, '@group(0) @binding(0) var<uniform> shape: Shape;']);
    expect(shapeWords(shaped, given.constants)).toEqual([7, 1]);
    const compiled = defineKernel({ ...shaped, shapes: 'compiled' });
    expect(lines(specialise(compiled, given))).toEqual([struct, 'const shape = Shape(7u, 1u);']);
    expect([hasUniform(shaped), hasUniform(compiled), hasUniform(kernel)]).toEqual([true, false, false]);
    expect(() => specialise(compiled, { ...given, constants: { ...given.constants, WIDTH: -1 } })).toThrow('some.WIDTH: -1 is no u32');
  });

  test('needs every constant once', () => {
    const give = (constants: Readonly<Record<string, number>>) => () => specialise(kernel, { constants, libraries: [] });
    expect(give({})).toThrow('some: constant A is missing');
    expect(give({ A: 1, B: 0 })).toThrow("some: constant B is the variant's own");
    expect(give({ A: 1, C: 0 })).toThrow('some: unknown constant C');
    expect(() => specialise({ ...kernel, constants: ['A'] }, { constants: { A: 1 }, libraries: [] })).toThrow('some: unknown constant B');
  });
});
