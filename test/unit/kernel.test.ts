import { describe, expect, test } from 'vitest';
import { defineKernel, specialise } from '../../src/gpu/kernel.ts';

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

  test('needs every constant once', () => {
    const give = (constants: Readonly<Record<string, number>>) => () => specialise(kernel, { constants, libraries: [] });
    expect(give({})).toThrow('some: constant A is missing');
    expect(give({ A: 1, B: 0 })).toThrow("some: constant B is the variant's own");
    expect(give({ A: 1, C: 0 })).toThrow('some: unknown constant C');
    expect(() => specialise({ ...kernel, constants: ['A'] }, { constants: { A: 1 }, libraries: [] })).toThrow('some: unknown constant B');
  });
});
